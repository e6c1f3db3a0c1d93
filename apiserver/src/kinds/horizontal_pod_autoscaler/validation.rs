//! What an autoscaler may say (upstream's pkg/apis/autoscaling/validation).

use minik_api::field::{Error, Path};
use minik_api::quantity::Quantity;
use serde_json::Value;

use crate::kinds::checks;
use crate::kinds::fill::Fields;
use crate::kinds::workload::{count, number};

const STABILIZATION_MAX_SECONDS: i64 = 3600;
const PERIOD_MAX_SECONDS: i64 = 1800;

const SOURCES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
/// The field of each of them.
const SOURCE_FIELDS: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// A spec; `least` replicas at least.
pub(super) fn check(spec: Option<&Fields>, least: i64, path: &Path, errors: &mut Vec<Error>) {
    let (min, max) = (number(spec, "minReplicas"), count(spec, "maxReplicas"));
    if let Some(min) = min.filter(|&min| min < least) {
        let detail = format!("must be greater than or equal to {least}");
        errors.push(Error::invalid(&path.child("minReplicas"), min, detail));
    }
    let max_path = path.child("maxReplicas");
    if max < 1 {
        errors.push(Error::invalid(&max_path, max, "must be greater than 0"));
    }
    if min.is_some_and(|min| max < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(Error::invalid(&max_path, max, detail));
    }
    let none = Value::Null;
    let field = |name: &str| spec.and_then(|spec| spec.get(name)).unwrap_or(&none);
    reference(field("scaleTargetRef"), &path.child("scaleTargetRef"), errors);
    let metrics = field("metrics").as_array().map(Vec::as_slice).unwrap_or_default();
    let path_of_metrics = path.child("metrics");
    for (index, metric_spec) in metrics.iter().enumerate() {
        metric(metric_spec, &path_of_metrics.index(index), errors);
    }
    let from_outside = metrics
        .iter()
        .any(|metric| metric["type"] == "Object" || metric["type"] == "External");
    if min == Some(0) && !from_outside {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(Error::forbidden(&path_of_metrics, detail));
    }
    for name in ["scaleUp", "scaleDown"] {
        if let Some(rules) = field("behavior").get(name) {
            scaling_rules(rules, &path.child("behavior").child(name), errors);
        }
    }
}

fn reference(reference: &Value, path: &Path, errors: &mut Vec<Error>) {
    for name in ["kind", "name"] {
        segment(&reference[name], "", &path.child(name), errors);
    }
}

/// A name that has to fit into a path.
fn segment(name: &Value, missing: &str, path: &Path, errors: &mut Vec<Error>) {
    let name = name.as_str().unwrap_or_default();
    if name.is_empty() {
        errors.push(Error::required(path, missing));
        return;
    }
    if name == "." || name == ".." {
        errors.push(Error::invalid(path, name, format!("may not be '{name}'")));
        return;
    }
    for part in ['/', '%'] {
        if name.contains(part) {
            errors.push(Error::invalid(path, name, format!("may not contain '{part}'")));
        }
    }
}

fn metric(metric: &Value, path: &Path, errors: &mut Vec<Error>) {
    let kind = metric["type"].as_str().unwrap_or_default();
    if kind.is_empty() {
        errors.push(Error::required(
            &path.child("type"),
            "must specify a metric source type",
        ));
    } else if !SOURCES.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), kind, SOURCES));
    }
    let present: Vec<&str> = SOURCE_FIELDS
        .iter()
        .map(|(_, field)| *field)
        .filter(|field| metric.get(*field).is_some())
        .collect();
    if let Some(field) = present.first() {
        source(field, &metric[*field], &path.child(field), errors);
    }
    let expected = SOURCE_FIELDS.iter().find(|(name, _)| *name == kind);
    let expected = expected.map_or("", |(_, field)| *field);
    if !present.contains(&expected) {
        let detail = "must populate information for the given metric source";
        errors.push(Error::required(&path.child(expected), detail));
    }
    if present.len() > 1 {
        for field in present.into_iter().filter(|field| *field != expected) {
            let detail = "must populate the given metric source only";
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn source(field: &str, source: &Value, path: &Path, errors: &mut Vec<Error>) {
    let (target, target_path) = (&source["target"], path.child("target"));
    if field == "object" {
        reference(&source["describedObject"], &path.child("describedObject"), errors);
    }
    if matches!(field, "object" | "external" | "pods") {
        identifier(&source["metric"], &path.child("metric"), errors);
    } else {
        let name = source["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            errors.push(Error::required(&path.child("name"), "must specify a resource name"));
        }
        if field == "containerResource" && source["container"].as_str().unwrap_or_default().is_empty() {
            errors.push(Error::required(&path.child("container"), "must specify a container"));
        }
    }
    self::target(target, &target_path, errors);
    let has = |name: &str| target.get(name).is_some();
    let mut required = |name: &str, detail: &str| errors.push(Error::required(&target_path.child(name), detail));
    match field {
        "object" if !has("value") && !has("averageValue") => {
            required("averageValue", "must set either a target value or averageValue");
        }
        "external" if !has("value") && !has("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            required("averageValue", detail);
        }
        "external" if has("value") && has("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(Error::forbidden(&target_path.child("value"), detail));
        }
        "pods" if !has("averageValue") || !is_positive(&target["averageValue"]) => {
            required("averageValue", "must specify a positive target averageValue");
        }
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (false, false) => {
                let detail = "must set either a target raw value or a target utilization";
                required("averageUtilization", detail);
            }
            (true, true) => {
                let detail = "may not set both a target raw value and a target utilization";
                errors.push(Error::forbidden(&target_path.child("averageValue"), detail));
            }
            _ => {}
        },
        _ => {}
    }
}

fn identifier(metric: &Value, path: &Path, errors: &mut Vec<Error>) {
    segment(
        &metric["name"],
        "must specify a metric name",
        &path.child("name"),
        errors,
    );
}

fn is_positive(amount: &Value) -> bool {
    let amount = amount.as_str().and_then(|text| text.parse::<Quantity>().ok());
    amount.is_some_and(|amount| !amount.is_negative() && !amount.is_zero())
}

fn target(target: &Value, path: &Path, errors: &mut Vec<Error>) {
    match target["type"].as_str().unwrap_or_default() {
        "" => errors.push(Error::required(
            &path.child("type"),
            "must specify a metric target type",
        )),
        "Utilization" | "Value" | "AverageValue" => {}
        kind => {
            let detail = "must be either Utilization, Value, or AverageValue";
            errors.push(Error::invalid(&path.child("type"), kind, detail));
        }
    }
    for name in ["value", "averageValue"] {
        if let Some(amount) = target.get(name).filter(|amount| !is_positive(amount)) {
            errors.push(Error::invalid(&path.child(name), amount.clone(), "must be positive"));
        }
    }
    if let Some(percent) = target["averageUtilization"].as_i64().filter(|&percent| percent < 1) {
        let path = path.child("averageUtilization");
        errors.push(Error::invalid(&path, percent, "must be greater than 0"));
    }
}

fn scaling_rules(rules: &Value, path: &Path, errors: &mut Vec<Error>) {
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        let path = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.push(Error::invalid(&path, seconds, "must be greater than or equal to zero"));
        }
        if seconds > STABILIZATION_MAX_SECONDS {
            let detail = format!("must be less than or equal to {STABILIZATION_MAX_SECONDS}");
            errors.push(Error::invalid(&path, seconds, detail));
        }
    }
    let select = ["Disabled", "Max", "Min"];
    checks::one_of_or_none(
        rules["selectPolicy"].as_str(),
        &select,
        &path.child("selectPolicy"),
        errors,
    );
    if let Some(tolerance) = rules["tolerance"].as_str()
        && tolerance
            .parse::<Quantity>()
            .is_ok_and(|tolerance| tolerance.is_negative())
    {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&path.child("tolerance"), tolerance, detail));
    }
    let policies = rules["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = path.child("policies");
    if policies.is_empty() {
        errors.push(Error::required(&path, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = path.index(index);
        let kind = policy["type"].as_str().unwrap_or_default();
        if !["Percent", "Pods"].contains(&kind) {
            errors.push(Error::not_supported(&path.child("type"), kind, &["Percent", "Pods"]));
        }
        for name in ["value", "periodSeconds"] {
            let number = policy[name].as_i64().unwrap_or(0);
            if number <= 0 {
                errors.push(Error::invalid(&path.child(name), number, "must be greater than zero"));
            }
        }
        let period = policy["periodSeconds"].as_i64().unwrap_or(0);
        if period > PERIOD_MAX_SECONDS {
            let detail = format!("must be less than or equal to {PERIOD_MAX_SECONDS}");
            errors.push(Error::invalid(&path.child("periodSeconds"), period, detail));
        }
    }
}
