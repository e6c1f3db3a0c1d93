//! Limit ranges: how much a container, a pod or a claim of a namespace may ask for, and what it gets when it doesn't ask.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde_json::{Map, Value};

use super::fill::{self, Fields};
use super::{Column, NAME, Rules, checks};

const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];
/// The amounts of an item.
const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

pub(super) struct LimitRanges;

impl Rules for LimitRanges {
    fn prepare_create(&self, _object: &mut Object) {}

    fn prepare_update(&self, _new: &mut Object, _old: &Object) {}

    fn defaults(&self, object: &mut Object) {
        let spec = fill::object(&mut object.body, "spec");
        for item in spec.into_iter().flat_map(|spec| fill::items(spec, "limits")) {
            if fill::text(item, "type") == "Container" {
                fill_from(item, "default", "max");
                fill_from(item, "defaultRequest", "default");
                fill_from(item, "defaultRequest", "min");
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (path, mut errors) = (Path::new("spec").child("limits"), Vec::new());
        let items = object.at("spec.limits").and_then(Value::as_array);
        let mut seen = BTreeSet::new();
        for (index, item) in items.into_iter().flatten().enumerate() {
            let Some(item) = item.as_object() else { continue };
            let path = path.index(index);
            let kind = fill::text(item, "type");
            type_name(kind, &path.child("type"), &mut errors);
            if !seen.insert(kind) {
                errors.push(Error::duplicate(&path.child("type"), kind));
            }
            check(kind, item, &path, &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Created At", "When it was created.")];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let created = object.metadata.creation_timestamp.as_ref();
        let created = created.map_or("<unknown>".to_owned(), |time| time.0.to_string());
        vec![object.name().into(), created.into()]
    }
}

/// What `into` leaves out is taken from another list.
fn fill_from(item: &mut Fields, into: &str, from: &str) {
    let from = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
    if from.is_empty() {
        return;
    }
    if let Some(into) = fill::object_or_empty(item, into) {
        for (name, amount) in from {
            fill::absent(into, &name, amount);
        }
    }
}

fn type_name(kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let before = errors.len();
    checks::name(names::qualified, kind, path, errors);
    if errors.len() == before && !kind.contains('/') && !TYPES.contains(&kind) {
        let detail = "must be a standard limit type or fully qualified";
        errors.push(Error::invalid(path, kind, detail));
    }
}

/// The lists of an item, each as quantities.
struct Amounts(BTreeMap<&'static str, BTreeMap<String, Quantity>>);

impl Amounts {
    fn of(item: &Map<String, Value>) -> Self {
        let list = |name: &'static str| {
            let amounts = item.get(name).and_then(Value::as_object).into_iter().flatten();
            let parsed = amounts.filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?)));
            (name, parsed.collect())
        };
        Self(LISTS.map(list).into())
    }

    fn at(&self, list: &str, resource: &str) -> Option<Quantity> {
        self.0.get(list)?.get(resource).copied()
    }
}

fn check(kind: &str, item: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let amounts = Amounts::of(item);
    if kind == "Pod" {
        for name in ["default", "defaultRequest"] {
            if !amounts.0[name].is_empty() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(Error::forbidden(&path.child(name), detail));
            }
        }
    }
    let has_storage = ["min", "max"].iter().any(|list| amounts.at(list, "storage").is_some());
    if kind == "PersistentVolumeClaim" && !has_storage {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), detail));
    }
    for (list, resources) in &amounts.0 {
        for resource in resources.keys() {
            checks::name(names::qualified, resource, &path.child(list).key(resource), errors);
        }
    }
    let resources: BTreeSet<&String> = amounts.0.values().flat_map(BTreeMap::keys).collect();
    for resource in resources {
        order(&amounts, resource, path, errors);
        ratio(&amounts, resource, path, errors);
    }
}

/// min <= defaultRequest <= default <= max
fn order(amounts: &Amounts, resource: &str, path: &Path, errors: &mut Vec<Error>) {
    for (low, low_name, high, high_name, blamed) in [
        ("min", "min", "max", "max", "min"),
        ("min", "min", "defaultRequest", "default request", "defaultRequest"),
        ("defaultRequest", "default request", "max", "max", "defaultRequest"),
        (
            "defaultRequest",
            "default request",
            "default",
            "default limit",
            "defaultRequest",
        ),
        ("min", "min", "default", "default", "default"),
        ("default", "default", "max", "max", "default"),
    ] {
        let (Some(low), Some(high)) = (amounts.at(low, resource), amounts.at(high, resource)) else {
            continue;
        };
        if low > high {
            let detail = format!("{low_name} value {low} is greater than {high_name} value {high}");
            let shown = amounts.at(blamed, resource).map(|amount| amount.to_string());
            let path = path.child(blamed).key(resource);
            errors.push(Error::invalid(&path, shown.unwrap_or_default(), detail));
        }
    }
}

fn ratio(amounts: &Amounts, resource: &str, path: &Path, errors: &mut Vec<Error>) {
    let Some(ratio) = amounts.at("maxLimitRequestRatio", resource) else {
        return;
    };
    let path = path.child("maxLimitRequestRatio").key(resource);
    if ratio < Quantity::from_whole(1) {
        let detail = format!("ratio {ratio} is less than 1");
        errors.push(Error::invalid(&path, ratio.to_string(), detail));
    }
    let (Some(min), Some(max)) = (amounts.at("min", resource), amounts.at("max", resource)) else {
        return;
    };
    // Thousandths of both, so that the quotient is that of the amounts; a float serves the message alone.
    let (min, max) = (min.milli_value(), max.milli_value());
    if min > 0 && i128::from(ratio.milli_value()) * i128::from(min) > i128::from(max) * 1000 {
        #[allow(clippy::cast_precision_loss, reason = "shown with six digits")]
        let quotient = max as f64 / min as f64;
        let detail = format!("ratio {ratio} is greater than max/min = {quotient:.6}");
        errors.push(Error::invalid(&path, ratio.to_string(), detail));
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded};
    use serde_json::{Value, json};

    fn range(limit: Value) -> Value {
        json!({"metadata": {"name": "l", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"limits": [limit]}})
    }

    #[test]
    fn a_containers_defaults_come_from_its_bounds() {
        let whole = decoded(
            "LimitRange",
            range(json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Gi"}})),
        );
        let item = &whole.at("spec.limits").expect("there")[0];
        assert_eq!(item["default"], json!({"cpu": "2"}));
        assert_eq!(item["defaultRequest"], json!({"cpu": "2", "memory": "1Gi"}));
        let pod = decoded("LimitRange", range(json!({"type": "Pod", "max": {"cpu": "2"}})));
        assert_eq!(pod.at("spec.limits").expect("there")[0].get("default"), None);
        assert_eq!(
            cells("LimitRange", range(json!({"type": "Pod"}))),
            ["l", "2026-01-01T00:00:00Z"]
        );
    }

    #[test]
    fn limit_ranges_break_rules_in_the_words_of_kubernetes() {
        let item = "spec.limits[0]";
        for (limit, expected) in [
            (json!({"type": "Pod", "max": {"cpu": "1"}}), vec![]),
            (
                json!({"type": "Box"}),
                vec![format!(
                    "{item}.type: Invalid value: \"Box\": must be a standard limit type or fully qualified"
                )],
            ),
            (
                json!({"type": "Pod", "default": {"cpu": "1"}}),
                vec![format!(
                    "{item}.default: Forbidden: may not be specified when `type` is 'Pod'"
                )],
            ),
            (
                json!({"type": "PersistentVolumeClaim"}),
                vec![format!(
                    "{item}.limits: Required value: either minimum or maximum storage value is required, but neither was provided"
                )],
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}),
                vec![format!(
                    "{item}.min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"
                )],
            ),
            (
                json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}),
                vec![format!(
                    "{item}.defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default limit value 1"
                )],
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "3"}, "maxLimitRequestRatio": {"cpu": "4"}}),
                vec![format!(
                    "{item}.maxLimitRequestRatio[cpu]: Invalid value: \"4\": ratio 4 is greater than max/min = 3.000000"
                )],
            ),
        ] {
            assert_eq!(created("LimitRange", range(limit.clone())), expected, "{limit}");
        }
    }
}
