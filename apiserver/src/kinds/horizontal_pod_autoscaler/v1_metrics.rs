//! Metrics as annotations of autoscaling/v1 carry them: flat, with the kind of target in the name of its field.
//!
//! ```text
//! v2  {"metric": {"name", "selector"}, "target": {"type", "value" | "averageValue" | "averageUtilization"}}
//! v1  {"metricName", "selector", "targetValue" | "targetAverageValue" | "targetAverageUtilization"}
//! ```

use serde_json::{Map, Value, json};

/// Where a source of metrics has what, in version 1.
struct Names {
    kind: &'static str,
    field: &'static str,
    /// Of the metric's selector.
    selector: &'static str,
    /// Of an absolute target, and of the current value; an object's is its own.
    value: &'static str,
    average_value: &'static str,
    current_average_value: &'static str,
}

const SOURCES: [Names; 5] = [
    Names {
        kind: "Object",
        field: "object",
        selector: "selector",
        value: "targetValue",
        average_value: "averageValue",
        current_average_value: "averageValue",
    },
    names("Pods", "pods", "selector"),
    names("Resource", "resource", ""),
    names("ContainerResource", "containerResource", ""),
    names("External", "external", "metricSelector"),
];

const fn names(kind: &'static str, field: &'static str, selector: &'static str) -> Names {
    Names {
        kind,
        field,
        selector,
        value: "targetValue",
        average_value: "targetAverageValue",
        current_average_value: "currentAverageValue",
    }
}

/// A metric's target in version 1.
pub(super) fn metric_from_stored(metric: &Value) -> Option<Value> {
    flat(metric, "target")
}

/// A metric's current value in version 1.
pub(super) fn status_from_stored(metric: &Value) -> Option<Value> {
    flat(metric, "current")
}

/// A metric's target in version 2.
pub(super) fn metric_to_stored(metric: Value) -> Option<Value> {
    deep(&metric, "target")
}

/// A metric's current value in version 2.
pub(super) fn status_to_stored(metric: Value) -> Option<Value> {
    deep(&metric, "current")
}

fn source(metric: &Value) -> Option<(&'static Names, &Map<String, Value>)> {
    let kind = metric.get("type")?.as_str()?;
    let names = SOURCES.iter().find(|names| names.kind == kind)?;
    Some((names, metric.get(names.field)?.as_object()?))
}

/// The name in version 1 of each of the fields of a target or current value in version 2.
fn amounts(names: &Names, part: &str) -> [(&'static str, &'static str); 3] {
    if part == "target" {
        let utilization = "targetAverageUtilization";
        [
            ("value", names.value),
            ("averageValue", names.average_value),
            ("averageUtilization", utilization),
        ]
    } else {
        let utilization = "currentAverageUtilization";
        [
            ("value", "currentValue"),
            ("averageValue", names.current_average_value),
            ("averageUtilization", utilization),
        ]
    }
}

fn flat(metric: &Value, part: &str) -> Option<Value> {
    let (names, source) = source(metric)?;
    let mut flat = Map::new();
    for (name, value) in source {
        match name.as_str() {
            "describedObject" => {
                flat.insert("target".to_owned(), value.clone());
            }
            "metric" => {
                flat.insert("metricName".to_owned(), value["name"].clone());
                if let Some(selector) = value.get("selector") {
                    flat.insert(names.selector.to_owned(), selector.clone());
                }
            }
            other if other != part => {
                flat.insert(other.to_owned(), value.clone());
            }
            _ => {}
        }
    }
    for (deep, name) in amounts(names, part) {
        if let Some(amount) = source.get(part).and_then(|part| part.get(deep)) {
            flat.insert(name.to_owned(), amount.clone());
        }
    }
    // An object's absolute target isn't optional there.
    if names.kind == "Object" && part == "target" {
        flat.entry("targetValue").or_insert_with(|| "0".into());
    }
    Some(json!({"type": names.kind, names.field: flat}))
}

fn deep(metric: &Value, part: &str) -> Option<Value> {
    let (names, source) = source(metric)?;
    let mut amounts_found = Map::new();
    for (deep, name) in amounts(names, part) {
        if let Some(amount) = source.get(name).filter(|amount| **amount != "0") {
            amounts_found.insert(deep.to_owned(), amount.clone());
        }
    }
    if part == "target" {
        let kind = if amounts_found.contains_key("averageUtilization") {
            "Utilization"
        } else if amounts_found.contains_key("averageValue") {
            "AverageValue"
        } else {
            "Value"
        };
        amounts_found.insert("type".to_owned(), kind.into());
    }
    let mut deep = Map::new();
    if let Some(name) = source.get("metricName") {
        let mut identifier = json!({"name": name});
        if let Some(selector) = source.get(names.selector) {
            identifier["selector"] = selector.clone();
        }
        deep.insert("metric".to_owned(), identifier);
    }
    if let Some(object) = source.get("target").filter(|_| names.kind == "Object") {
        deep.insert("describedObject".to_owned(), object.clone());
    }
    for name in ["name", "container"] {
        if let Some(value) = source.get(name) {
            deep.insert(name.to_owned(), value.clone());
        }
    }
    deep.insert(part.to_owned(), amounts_found.into());
    Some(json!({"type": names.kind, names.field: deep}))
}
