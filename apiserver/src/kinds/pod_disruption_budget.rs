//! Disruption budgets: how many pods evictions have to leave alone.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::workload::{self, count, counts, selector};
use super::{AGE, Column, NAME, Rules, age, checks, fields, text_at};

const POLICIES: &[&str] = &["AlwaysAllow", "IfHealthyBudget"];

pub(super) struct Budgets;

impl Rules for Budgets {
    fn prepare_create(&self, object: &mut Object) {
        let status = json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
        object.body.insert("status".to_owned(), status);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        let amounts = ["minAvailable", "maxUnavailable"].map(|name| (name, spec.and_then(|spec| spec.get(name))));
        if amounts.iter().all(|(_, amount)| amount.is_some()) {
            let shown = object.body.get("spec").cloned().unwrap_or_default();
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(Error::invalid(&path, shown, detail));
        }
        for (name, amount) in amounts {
            let path = path.child(name);
            workload::count_or_percent(amount, &path, &mut errors);
            workload::not_more_than_all(amount, &path, &mut errors);
        }
        checks::label_selector(selector(spec).as_ref(), &path.child("selector"), &mut errors);
        let policy = spec.and_then(|spec| spec.get("unhealthyPodEvictionPolicy")?.as_str());
        let path = path.child("unhealthyPodEvictionPolicy");
        checks::one_of_or_none(policy, POLICIES, &path, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let names = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        counts(fields(new, "status"), &names, &Path::new("status"), &mut errors);
        errors
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Min Available", "How many pods must stay available."),
            Column::text("Max Unavailable", "How many pods may be unavailable."),
            Column::text("Allowed Disruptions", "How many pods may be disrupted now.").number(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let amount = |name: &str| match text_at(object, name) {
            text if text.is_empty() => "N/A".to_owned(),
            text => text,
        };
        vec![
            object.name().into(),
            amount("spec.minAvailable").into(),
            amount("spec.maxUnavailable").into(),
            count(fields(object, "status"), "disruptionsAllowed").into(),
            age(object, now).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created};
    use serde_json::{Value, json};

    fn budget(spec: Value) -> Value {
        json!({"metadata": {"name": "b", "namespace": "default"}, "spec": spec})
    }

    #[test]
    fn budgets_break_rules_in_the_words_of_kubernetes() {
        let kind = "PodDisruptionBudget";
        assert_eq!(
            created(kind, budget(json!({"minAvailable": "50%", "selector": {}}))),
            Vec::<String>::new()
        );
        for (spec, expected) in [
            (
                json!({"minAvailable": 1, "maxUnavailable": 1}),
                "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":1}: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                json!({"maxUnavailable": "101%"}),
                "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                json!({"minAvailable": -1}),
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"unhealthyPodEvictionPolicy": "Never"}),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ),
        ] {
            assert_eq!(created(kind, budget(spec)), [expected]);
        }
        assert_eq!(
            cells(kind, budget(json!({"minAvailable": "50%"}))),
            ["b", "50%", "N/A", "0", "<unknown>"]
        );
    }
}
