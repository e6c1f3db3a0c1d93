//! autoscaling/v1: one target, for CPU; whatever else version 2 knows travels in annotations, so that nothing is lost on the
//! way there and back (upstream's pkg/apis/autoscaling/v1/conversion.go).

use minik_api::object::Object;
use serde_json::{Value, json};

use super::v1_metrics::{metric_from_stored, metric_to_stored, status_from_stored, status_to_stored};
use crate::kinds::fill::{self, Fields};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// What an autoscaler without metrics goes by.
pub(super) const DEFAULT_CPU_PERCENT: i64 = 80;

/// Version 1 as version 2.
pub(in crate::kinds) fn to_stored(object: &mut Object) {
    let mut annotations = Annotations::take(object);
    if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
        let cpu = spec.remove("targetCPUUtilizationPercentage");
        let mut metrics = annotations.list(METRICS, metric_to_stored);
        metrics.extend(cpu.map(|percent| cpu_metric(&percent)));
        if metrics.is_empty() {
            metrics.push(cpu_metric(&DEFAULT_CPU_PERCENT.into()));
        }
        spec.insert("metrics".to_owned(), metrics.into());
        if let Some(behavior) = annotations.behavior.take() {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = fill::object(&mut object.body, "status") {
        let cpu = status.remove("currentCPUUtilizationPercentage");
        // The annotation tells more than the field.
        let mut metrics = annotations.list(CURRENT_METRICS, status_to_stored);
        if metrics.is_empty() {
            metrics.extend(cpu.map(|percent| {
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}})
            }));
        }
        if !metrics.is_empty() {
            status.insert("currentMetrics".to_owned(), metrics.into());
        }
        let conditions = annotations.list(CONDITIONS, Some);
        if !conditions.is_empty() {
            status.insert("conditions".to_owned(), conditions.into());
        }
    }
}

/// Version 2 as version 1.
pub(in crate::kinds) fn from_stored(object: &mut Object) {
    let mut texts = Vec::new();
    if let Some(spec) = fill::object(&mut object.body, "spec") {
        let mut others = Vec::new();
        for metric in take_list(spec, "metrics") {
            match cpu_percent(&metric, "target") {
                Some(percent) if !spec.contains_key("targetCPUUtilizationPercentage") => {
                    spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
                }
                _ => others.push(metric),
            }
        }
        texts.extend(encoded(METRICS, others.iter().filter_map(metric_from_stored).collect()));
        if let Some(behavior) = spec.remove("behavior") {
            texts.push((BEHAVIOR, behavior.to_string()));
        }
    }
    if let Some(status) = fill::object(&mut object.body, "status") {
        let metrics = take_list(status, "currentMetrics");
        if let Some(percent) = metrics.iter().find_map(|metric| cpu_percent(metric, "current")) {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent);
        }
        let metrics = metrics.iter().filter_map(status_from_stored).collect();
        texts.extend(encoded(CURRENT_METRICS, metrics));
        texts.extend(encoded(CONDITIONS, take_list(status, "conditions")));
        fill::absent(status, "currentReplicas", 0);
    }
    for (name, text) in texts {
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert(name.to_owned(), text);
    }
}

/// What the annotations carry; what can't be read carries nothing.
struct Annotations {
    lists: Vec<(&'static str, Vec<Value>)>,
    behavior: Option<Value>,
}

impl Annotations {
    fn take(object: &mut Object) -> Self {
        let Some(annotations) = &mut object.metadata.annotations else {
            return Self {
                lists: Vec::new(),
                behavior: None,
            };
        };
        let mut take = |name: &str| serde_json::from_str::<Value>(&annotations.remove(name)?).ok();
        let lists = [METRICS, CURRENT_METRICS, CONDITIONS].map(|name| match take(name) {
            Some(Value::Array(list)) => (name, list),
            _ => (name, Vec::new()),
        });
        let behavior = take(BEHAVIOR).filter(Value::is_object);
        if annotations.is_empty() {
            object.metadata.annotations = None;
        }
        Self {
            lists: lists.into(),
            behavior,
        }
    }

    fn list<T: From<Value>>(&mut self, name: &str, convert: impl Fn(Value) -> Option<T>) -> Vec<T> {
        let list = self.lists.iter_mut().find(|(known, _)| *known == name);
        let list = list.map(|(_, list)| std::mem::take(list)).unwrap_or_default();
        list.into_iter().filter_map(convert).collect()
    }
}

fn encoded(name: &'static str, list: Vec<Value>) -> Option<(&'static str, String)> {
    (!list.is_empty()).then(|| (name, Value::from(list).to_string()))
}

fn take_list(fields: &mut Fields, name: &str) -> Vec<Value> {
    match fields.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

pub(super) fn cpu_metric(percent: &Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// The percentage of a metric that is about the use of CPU.
fn cpu_percent(metric: &Value, field: &str) -> Option<Value> {
    let resource = metric.get("resource")?;
    let is_cpu = metric.get("type")? == "Resource" && resource.get("name")? == "cpu";
    resource
        .get(field)?
        .get("averageUtilization")
        .filter(|_| is_cpu)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_percentage_of_cpu_is_a_metric() {
        let mut hpa = object(json!({"metadata": {"name": "h"}, "spec": {"targetCPUUtilizationPercentage": 50}}));
        to_stored(&mut hpa);
        assert_eq!(hpa.at("spec.metrics"), Some(&json!([cpu_metric(&json!(50))])));
        from_stored(&mut hpa);
        assert_eq!(hpa.at("spec"), Some(&json!({"targetCPUUtilizationPercentage": 50})));
        let mut bare = object(json!({"metadata": {"name": "h"}, "spec": {}}));
        to_stored(&mut bare);
        assert_eq!(bare.at("spec.metrics"), Some(&json!([cpu_metric(&json!(80))])));
    }

    #[test]
    fn nothing_is_lost_between_the_versions() {
        let metrics = json!([
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
            {"type": "Pods", "pods": {"metric": {"name": "p"}, "target": {"type": "AverageValue", "averageValue": "1"}}},
            {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                "metric": {"name": "o"}, "target": {"type": "Value", "value": "3"}}},
            {"type": "External", "external": {"metric": {"name": "e", "selector": {"matchLabels": {"a": "b"}}},
                "target": {"type": "AverageValue", "averageValue": "5"}}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                "target": {"type": "Utilization", "averageUtilization": 7}}},
            cpu_metric(&json!(60))
        ]);
        let hpa = object(
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h", "annotations": {"mine": "stays"}},
            "spec": {"maxReplicas": 3, "metrics": metrics, "behavior": {"scaleUp": {"selectPolicy": "Max"}}},
            "status": {"currentReplicas": 1, "desiredReplicas": 2,
                "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageValue": "10m", "averageUtilization": 5}}}]}}),
        );
        let mut there = hpa.clone();
        from_stored(&mut there);
        assert_eq!(there.at("spec.targetCPUUtilizationPercentage"), Some(&json!(60)));
        assert_eq!(there.at("status.currentCPUUtilizationPercentage"), Some(&json!(5)));
        assert_eq!(there.at("spec.metrics"), None);
        to_stored(&mut there);
        assert_eq!(there, hpa);
    }

    #[test]
    fn annotations_that_are_none_of_ours_carry_nothing() {
        let mut hpa =
            object(json!({"metadata": {"name": "h", "annotations": {METRICS: "[1, {\"type\": 3}", BEHAVIOR: "[]"}}}));
        to_stored(&mut hpa);
        assert_eq!(hpa.at("spec.metrics"), Some(&json!([cpu_metric(&json!(80))])));
        assert_eq!(hpa.metadata.annotations, None);
    }
}
