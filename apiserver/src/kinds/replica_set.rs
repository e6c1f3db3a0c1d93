//! Replica sets, and replication controllers, which were there before them: so many pods of a template.
//!
//! They differ in their selector: a map of labels there, which may be left out.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use minik_api::selector::Labels;
use serde_json::{Value, json};

use super::fill;
use super::pod_template::{self, CONTAINERS, IMAGES, Template};
use super::workload::{self, count, counts};
use super::{AGE, Column, NAME, Rules, Scale, age, checks, fields};

const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Desired", "How many pods there should be.").number(),
    Column::text("Current", "How many pods there are.").number(),
    Column::text("Ready", "How many pods are ready.").number(),
    AGE,
    CONTAINERS.wide(),
    IMAGES.wide(),
    Column::text("Selector", "The labels of the pods.").wide(),
];

pub(super) struct ReplicaSets;

impl Rules for ReplicaSets {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({"replicas": 0}));
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            fill::absent(spec, "replicas", 1);
            pod_template::defaults(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        counts(spec, &["replicas", "minReadySeconds"], &path, &mut errors);
        let selector = workload::check_selector(
            spec,
            "empty selector is invalid for deployment",
            "invalid label selector",
            &path,
            &mut errors,
        );
        if let Some(selector) = &selector {
            check_template(object, selector, "ReplicaSet", &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let path = Path::new("spec").child("selector");
        checks::immutable(new.at("spec.selector"), old.at("spec.selector"), &path, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        check_status(new)
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        warnings(object)
    }

    fn scale(&self, object: &Object) -> Option<Scale> {
        Some(workload::scale_by_selector(object))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn fields(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn field(&self, object: &Object, _path: &str) -> String {
        count(fields(object, "status"), "replicas").to_string()
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(object, workload::selector_text(fields(object, "spec")), now)
    }
}

pub(super) struct ReplicationControllers;

impl Rules for ReplicationControllers {
    // As it was before garbage collection, for clients of that time.
    fn orphans_by_default(&self) -> bool {
        true
    }

    fn prepare_create(&self, object: &mut Object) {
        ReplicaSets.prepare_create(object);
    }

    /// What the selector and the labels leave out is taken from the template.
    fn defaults(&self, object: &mut Object) {
        ReplicaSets.defaults(object);
        let labels = Template::of(fields(object, "spec")).labels();
        if labels.is_empty() {
            return;
        }
        if let Some(spec) = fill::object(&mut object.body, "spec") {
            let selector = spec.get("selector").and_then(Value::as_object);
            if selector.is_none_or(serde_json::Map::is_empty) {
                spec.insert("selector".to_owned(), json!(labels));
            }
        }
        if object.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            object.metadata.labels = Some(labels);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        counts(spec, &["minReadySeconds"], &path, &mut errors);
        let selector = labels(object);
        if selector.is_empty() {
            errors.push(Error::required(&path.child("selector"), ""));
        }
        counts(spec, &["replicas"], &path, &mut errors);
        check_template(object, &selector, "ReplicationController", &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        check_status(new)
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        warnings(object)
    }

    fn scale(&self, object: &Object) -> Option<Scale> {
        Some(workload::scale(object, Some(&labels(object))))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn fields(&self) -> &'static [&'static str] {
        ReplicaSets.fields()
    }

    fn field(&self, object: &Object, path: &str) -> String {
        ReplicaSets.field(object, path)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = labels(object);
        let shown = if selector.is_empty() {
            "<none>".to_owned()
        } else {
            selector.to_string()
        };
        cells(object, shown, now)
    }
}

/// The selector of a replication controller.
fn labels(object: &Object) -> Labels {
    let selector = object.at("spec.selector").unwrap_or(&Value::Null);
    let spec = json!({"selector": {"matchLabels": selector}});
    workload::selector(spec.as_object())
        .and_then(|selector| Labels::from_spec(&selector).ok())
        .unwrap_or_default()
}

fn check_template(object: &Object, selector: &Labels, kind: &str, errors: &mut Vec<Error>) {
    let (template, path) = (
        Template::of(fields(object, "spec")),
        Path::new("spec").child("template"),
    );
    if !selector.is_empty() {
        workload::selects_template(selector, template, &path, errors);
    }
    template.validate(&path, errors);
    template.stays_up(kind, &path, errors);
}

fn check_status(object: &Object) -> Vec<Error> {
    let (status, path, mut errors) = (fields(object, "status"), Path::new("status"), Vec::new());
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    counts(status, &["replicas"], &path, &mut errors);
    counts(status, &parts, &path, &mut errors);
    counts(
        status,
        &["terminatingReplicas", "observedGeneration"],
        &path,
        &mut errors,
    );
    let detail = "cannot be greater than status.replicas";
    workload::at_most(status, &parts, "replicas", detail, &path, &mut errors);
    let detail = "cannot be greater than readyReplicas";
    workload::at_most(
        status,
        &["availableReplicas"],
        "readyReplicas",
        detail,
        &path,
        &mut errors,
    );
    errors
}

fn warnings(object: &Object) -> Vec<String> {
    let template = Template::of(fields(object, "spec")).warnings("spec.template");
    workload::name_warning(object).into_iter().chain(template).collect()
}

fn cells(object: &Object, selector: String, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (fields(object, "spec"), fields(object, "status"));
    let [names, images] = Template::of(spec).names_and_images();
    vec![
        object.name().into(),
        count(spec, "replicas").into(),
        count(status, "replicas").into(),
        count(status, "readyReplicas").into(),
        age(object, now).into(),
        names,
        images,
        selector.into(),
    ]
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, rules_of, sentences, updated, with};
    use serde_json::{Value, json};

    fn controller(selector: Value) -> Value {
        json!({"metadata": {"name": "r", "namespace": "default"}, "spec": {"selector": selector,
            "template": {"metadata": {"labels": {"app": "r"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
    }

    #[test]
    fn a_replica_set_needs_a_selector_and_a_controller_takes_its_labels() {
        assert_eq!(
            created("ReplicaSet", controller(json!({"matchLabels": {"app": "r"}}))),
            Vec::<String>::new()
        );
        assert_eq!(
            created("ReplicaSet", controller(Value::Null)),
            ["spec.selector: Required value"]
        );
        let bare = decoded("ReplicationController", controller(Value::Null));
        assert_eq!(bare.at("spec.selector"), Some(&json!({"app": "r"})));
        assert_eq!(
            bare.metadata.labels.as_ref().map(|labels| labels["app"].as_str()),
            Some("r")
        );
        assert_eq!(
            created("ReplicationController", controller(Value::Null)),
            Vec::<String>::new()
        );
        assert_eq!(
            created("ReplicationController", controller(json!({"app": "s"}))),
            [
                "spec.template.metadata.labels: Invalid value: {\"app\":\"r\"}: `selector` does not match template `labels`"
            ]
        );
    }

    #[test]
    fn only_a_controllers_selector_may_change() {
        let (old, new) = (
            controller(json!({"matchLabels": {"app": "r"}})),
            controller(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})),
        );
        assert_eq!(updated("ReplicaSet", old, new).len(), 1);
        let mut new = controller(json!({"app": "r", "b": "c"}));
        new["spec"]["template"]["metadata"]["labels"]["b"] = "c".into();
        let told = updated("ReplicationController", controller(Value::Null), new);
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn tables_and_selections_show_the_replicas() {
        for (kind, selector) in [
            ("ReplicaSet", json!({"matchLabels": {"app": "r"}})),
            ("ReplicationController", json!({"app": "r"})),
        ] {
            let object = with(
                controller(selector),
                "/status",
                json!({"replicas": 3, "readyReplicas": 2}),
            );
            let whole = decoded(kind, object.clone());
            assert_eq!(rules_of(kind).field(&whole, "status.replicas"), "3");
            assert_eq!(
                cells(kind, object),
                ["r", "1", "3", "2", "<unknown>", "c", "i", "app=r"]
            );
        }
        let new = decoded(
            "ReplicaSet",
            with(
                controller(Value::Null),
                "/status",
                json!({"replicas": 1, "readyReplicas": 2}),
            ),
        );
        let told = sentences(&rules_of("ReplicaSet").validate_status_update(&new, &new));
        assert_eq!(
            told,
            ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]
        );
    }
}
