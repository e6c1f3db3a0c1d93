//! Priority classes: which pods go first (`scheduling.k8s.io`). Two belong to the system and are there from the start.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::{AGE, Column, NAME, Rules, age, checks, fill, read};

const RESERVED: &str = "system-";
const USER_MAX: i64 = 1_000_000_000;
/// Name, value, and what it is for.
const SYSTEM: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// The classes that are there from the start.
pub(crate) fn system() -> [Value; 2] {
    SYSTEM.map(
        |(name, value, description)| json!({"metadata": {"name": name}, "value": value, "description": description}),
    )
}

pub(super) struct PriorityClasses;

impl Rules for PriorityClasses {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        fill::absent(&mut object.body, "preemptionPolicy", "PreemptLowerPriority");
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let value = value(object);
        if object.name().starts_with(RESERVED) {
            if let Some(why) = not_the_systems(object, value) {
                let detail = format!(
                    "priority class names with '{RESERVED}' prefix are reserved for system use only. error: {why}"
                );
                errors.push(Error::forbidden(&Path::new("metadata").child("name"), detail));
            }
        } else if value > USER_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            errors.push(Error::forbidden(&Path::new("value"), detail));
        }
        let policy = object.body.get("preemptionPolicy").and_then(Value::as_str);
        let known = ["PreemptLowerPriority", "Never"];
        checks::one_of_or_none(policy, &known, &Path::new("preemptionPolicy"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        if value(new) != value(old) {
            errors.push(Error::forbidden(
                &Path::new("value"),
                "may not be changed in an update.",
            ));
        }
        let field = "preemptionPolicy";
        checks::immutable(new.body.get(field), old.body.get(field), &Path::new(field), &mut errors);
        errors
    }

    fn forbids_deletion(&self, object: &Object) -> Option<&'static str> {
        let is_system = SYSTEM.iter().any(|(name, ..)| *name == object.name());
        is_system.then_some("this is a system priority class and cannot be deleted")
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Value", "The higher, the earlier.").number(),
            Column::text("Global-Default", "Whether it is that of pods that name none.").flag(),
            AGE,
            Column::text("PreemptionPolicy", "Whether its pods push others away."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            value(object).into(),
            is_default(object).into(),
            age(object, now).into(),
            read::text(object.body.get("preemptionPolicy")).into(),
        ]
    }
}

fn value(object: &Object) -> i64 {
    object.body.get("value").and_then(Value::as_i64).unwrap_or(0)
}

fn is_default(object: &Object) -> bool {
    object.body.get("globalDefault") == Some(&Value::Bool(true))
}

/// Why a class with a reserved name isn't one of the system's.
fn not_the_systems(object: &Object, value: i64) -> Option<String> {
    let name = object.name();
    let Some((_, wanted, _)) = SYSTEM.iter().find(|(system, ..)| *system == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != *wanted {
        return Some(format!("value of {name} PriorityClass must be {wanted}"));
    }
    is_default(object).then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};

    #[test]
    fn the_system_goes_first() {
        for class in system() {
            assert_eq!(created("PriorityClass", class.clone()), Vec::<String>::new());
            assert!(
                PriorityClasses
                    .forbids_deletion(&decoded("PriorityClass", class))
                    .is_some()
            );
        }
        let class = json!({"metadata": {"name": "c"}, "value": 5});
        assert_eq!(created("PriorityClass", class.clone()), Vec::<String>::new());
        assert_eq!(
            PriorityClasses.forbids_deletion(&decoded("PriorityClass", class.clone())),
            None
        );
        for (pointer, value, expected) in [
            (
                "/metadata/name",
                json!("system-mine"),
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
            ),
            (
                "/value",
                json!(1_000_000_001),
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            ),
            (
                "/preemptionPolicy",
                json!("Always"),
                "preemptionPolicy: Unsupported value: \"Always\": supported values: \"PreemptLowerPriority\", \"Never\"",
            ),
        ] {
            assert_eq!(
                created("PriorityClass", with(class.clone(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        assert_eq!(
            updated("PriorityClass", class.clone(), with(class, "/value", json!(6))),
            ["value: Forbidden: may not be changed in an update."]
        );
    }
}
