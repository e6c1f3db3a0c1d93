//! Leases: who holds something, and until when.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::Value;

use super::{AGE, Column, NAME, Rules, age, text_at};

pub(super) struct Leases;

impl Rules for Leases {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        if object.at("spec.holderIdentity").and_then(Value::as_str) == Some("") {
            errors.push(Error::invalid(&path.child("holderIdentity"), "", "must not be empty"));
        }
        let number = |field: &str| object.at(field).and_then(Value::as_i64);
        if let Some(seconds) = number("spec.leaseDurationSeconds").filter(|&seconds| seconds <= 0) {
            let detail = "must be greater than 0";
            errors.push(Error::invalid(&path.child("leaseDurationSeconds"), seconds, detail));
        }
        if let Some(count) = number("spec.leaseTransitions").filter(|&count| count < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path.child("leaseTransitions"), count, detail));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Holder", "Who holds the lease."), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            text_at(object, "spec.holderIdentity").into(),
            age(object, now).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{created, with};
    use serde_json::json;

    #[test]
    fn leases_last() {
        let lease = json!({"metadata": {"name": "l", "namespace": "default"}, "spec": {"holderIdentity": "n", "leaseDurationSeconds": 40}});
        for (pointer, value, expected) in [
            ("/spec/leaseTransitions", json!(1), vec![]),
            (
                "/spec/holderIdentity",
                json!(""),
                vec!["spec.holderIdentity: Invalid value: \"\": must not be empty"],
            ),
            (
                "/spec/leaseDurationSeconds",
                json!(0),
                vec!["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
            ),
            (
                "/spec/leaseTransitions",
                json!(-1),
                vec!["spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"],
            ),
        ] {
            assert_eq!(
                created("Lease", with(lease.clone(), pointer, value)),
                expected,
                "{pointer}"
            );
        }
    }
}
