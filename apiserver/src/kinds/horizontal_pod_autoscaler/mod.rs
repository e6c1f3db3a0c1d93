//! Horizontal pod autoscalers: how many replicas something should have, by load. Kept as autoscaling/v2; `v1` is how version
//! 1 sees them.

mod columns;
pub(super) mod v1;
mod v1_metrics;
mod validation;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::workload::{counts, number};
use super::{Column, Rules, fields};

pub(super) struct Autoscalers;

impl Rules for Autoscalers {
    fn prepare_create(&self, object: &mut Object) {
        let status = json!({"currentMetrics": null, "desiredReplicas": 0});
        object.body.insert("status".to_owned(), status);
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        fill::absent(spec, "minReplicas", 1);
        let metrics = spec.get("metrics").and_then(Value::as_array);
        if metrics.is_none_or(Vec::is_empty) {
            let cpu = v1::cpu_metric(&v1::DEFAULT_CPU_PERCENT.into());
            spec.insert("metrics".to_owned(), json!([cpu]));
        }
        if let Some(behavior) = fill::object(spec, "behavior") {
            scaling_rules(behavior, "scaleUp", &json!([policy("Pods", 4), policy("Percent", 100)]));
            scaling_rules(behavior, "scaleDown", &json!([policy("Percent", 100)]));
            if let Some(up) = fill::object(behavior, "scaleUp") {
                fill::absent(up, "stabilizationWindowSeconds", 0);
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        validation::check(fields(object, "spec"), 1, &Path::new("spec"), &mut errors);
        errors
    }

    /// What was scaled to zero once may stay there.
    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let was_zero = number(fields(old, "spec"), "minReplicas") == Some(0);
        let least = if was_zero { 0 } else { 1 };
        validation::check(fields(new, "spec"), least, &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let names = ["currentReplicas", "desiredReplicas"];
        counts(fields(new, "status"), &names, &Path::new("status"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        columns::cells(object, now)
    }
}

fn policy(kind: &str, value: i64) -> Value {
    json!({"type": kind, "value": value, "periodSeconds": 15})
}

fn scaling_rules(behavior: &mut Fields, name: &str, policies: &Value) {
    if let Some(rules) = fill::object_or_empty(behavior, name) {
        fill::absent(rules, "selectPolicy", "Max");
        fill::absent(rules, "policies", policies.clone());
    }
}

#[cfg(test)]
mod tests;
