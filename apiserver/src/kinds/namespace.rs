//! Namespaces.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::metadata::validate_finalizer;
use super::{AGE, Column, NAME, NameRule, Rules, age, fill, keep, text_at};

const KUBERNETES: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) struct Namespaces;

impl Rules for Namespaces {
    fn name_rule(&self) -> NameRule {
        names::label
    }

    /// A namespace is there at once, and stays until somebody has emptied it.
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({"phase": "Active"}));
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            fill::absent(spec, "finalizers", Vec::<Value>::new());
            if let Some(finalizers) = spec.get_mut("finalizers").and_then(Value::as_array_mut)
                && !finalizers.iter().any(|finalizer| finalizer == KUBERNETES)
            {
                finalizers.push(KUBERNETES.into());
            }
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "spec");
        keep(new, old, "status");
    }

    fn defaults(&self, object: &mut Object) {
        let name = object.name().to_owned();
        if !name.is_empty() {
            object
                .metadata
                .labels
                .get_or_insert_default()
                .insert(NAME_LABEL.to_owned(), name);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec").child("finalizers");
        let finalizers = object.at("spec.finalizers").and_then(Value::as_array);
        let names = finalizers.into_iter().flatten().filter_map(Value::as_str);
        names.flat_map(|name| validate_finalizer(name, &path)).collect()
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let (phase, path) = (text_at(new, "status.phase"), Path::new("status").child("Phase"));
        let detail = match (new.metadata.deletion_timestamp.is_some(), phase.as_str()) {
            (false, "Active") | (true, "Terminating") => return Vec::new(),
            (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
            (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
        };
        vec![Error::invalid(&path, phase, detail)]
    }

    fn fields(&self) -> &'static [&'static str] {
        &["status.phase"]
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Status", "The status of the namespace"), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            text_at(object, "status.phase").into(),
            age(object, now).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, sentences, with};

    fn namespace() -> Value {
        json!({"metadata": {"name": "n"}})
    }

    #[test]
    fn a_new_namespace_is_active_and_held() {
        let mut object = decoded("Namespace", namespace());
        Namespaces.prepare_create(&mut object);
        assert_eq!(object.at("status.phase"), Some(&json!("Active")));
        assert_eq!(object.at("spec.finalizers"), Some(&json!(["kubernetes"])));
        assert_eq!(
            object
                .metadata
                .labels
                .as_ref()
                .and_then(|all| all.get(NAME_LABEL))
                .map(String::as_str),
            Some("n")
        );
        let before = object.clone();
        Namespaces.prepare_create(&mut object);
        assert_eq!(object, before);

        let mut update = decoded("Namespace", namespace());
        Namespaces.prepare_update(&mut update, &object);
        assert_eq!(update.body, object.body);
    }

    #[test]
    fn finalizers_and_phase_fit() {
        assert_eq!(
            created("Namespace", with(namespace(), "/spec/finalizers", json!(["x"]))),
            [
                "spec.finalizers: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
        let object = decoded("Namespace", with(namespace(), "/status/phase", json!("Terminating")));
        assert_eq!(
            sentences(&Namespaces.validate_status_update(&object, &object)),
            ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]
        );
    }
}
