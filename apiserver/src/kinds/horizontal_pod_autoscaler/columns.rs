//! What `kubectl get hpa` shows: above all the load beside its target.

use jiff::Timestamp;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::workload::{count, number};
use crate::kinds::{AGE, Column, NAME, age, fields, text_at};

/// More metrics don't fit.
const SHOWN: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Reference", "What is scaled."),
    Column::text("Targets", "The load, and what it should be."),
    Column::text("MinPods", "How many pods there are at least."),
    Column::text("MaxPods", "How many pods there are at most."),
    Column::text("Replicas", "How many pods there are."),
    AGE,
];

pub(super) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (fields(object, "spec"), fields(object, "status"));
    let reference = format!(
        "{}/{}",
        text_at(object, "spec.scaleTargetRef.kind"),
        text_at(object, "spec.scaleTargetRef.name")
    );
    let min = number(spec, "minReplicas").map_or("<unset>".to_owned(), |min| min.to_string());
    vec![
        object.name().into(),
        reference.into(),
        targets(object).into(),
        min.into(),
        count(spec, "maxReplicas").into(),
        count(status, "currentReplicas").into(),
        age(object, now).into(),
    ]
}

fn targets(object: &Object) -> String {
    let list = |path: &str| object.at(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let (specs, statuses) = (list("spec.metrics"), list("status.currentMetrics"));
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> = specs
        .iter()
        .enumerate()
        .take(SHOWN)
        .map(|(index, metric)| target(metric, statuses.get(index).unwrap_or(&Value::Null)))
        .collect();
    let shown = shown.join(", ");
    if specs.len() > SHOWN {
        format!("{shown} + {} more...", specs.len() - SHOWN)
    } else {
        shown
    }
}

/// One metric: `cpu: 10%/80%`, `3/5 (avg)`.
fn target(metric: &Value, status: &Value) -> String {
    let field = match metric["type"].as_str().unwrap_or_default() {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (source, current) = (&metric[field], &status[field]["current"]);
    let target = &source["target"];
    let amount = |value: &Value| value.as_str().unwrap_or(UNKNOWN).to_owned();
    let percent = |value: &Value, none: &str| value.as_i64().map_or(none.to_owned(), |percent| format!("{percent}%"));
    let average = target.get("averageValue").is_some();
    match field {
        "pods" => format!(
            "{}/{}",
            amount(&current["averageValue"]),
            amount(&target["averageValue"])
        ),
        "external" | "object" if average => {
            format!(
                "{}/{} (avg)",
                amount(&current["averageValue"]),
                amount(&target["averageValue"])
            )
        }
        "external" | "object" => format!("{}/{}", amount(&current["value"]), amount(&target["value"])),
        _ => {
            let name = source["name"].as_str().unwrap_or_default();
            let (now, wanted) = if average {
                (amount(&current["averageValue"]), amount(&target["averageValue"]))
            } else {
                let name = "averageUtilization";
                (percent(&current[name], UNKNOWN), percent(&target[name], "<auto>"))
            };
            format!("{name}: {now}/{wanted}")
        }
    }
}
