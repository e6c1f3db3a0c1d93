//! CustomResourceDefinitions: kinds that users define. What may stand in a definition; what it does is in `customs/`.
//!
//! ```text
//! spec.rs     group, scope, names, versions, conversion, columns
//! schema.rs   the openAPIV3Schema of each version: what OpenAPI allows here
//! rules.rs    the rules in them, in CEL
//! structural.rs   and what makes it structural
//! ```

mod rules;
mod schema;
mod spec;
mod structural;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::{Column, NAME, Rules, fields, fill, keep};

/// What a definition waits for when it is deleted: its objects go first.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The rules of definitions.
pub(super) struct CustomResourceDefinitions;

impl Rules for CustomResourceDefinitions {
    fn prepare_create(&self, object: &mut Object) {
        let status = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": [], "storedVersions": []});
        object.body.insert("status".into(), status);
        remember_storage_version(object);
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "status");
        remember_storage_version(new);
    }

    fn prepare_delete(&self, object: &mut Object) {
        let finalizers = object.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            finalizers.push(CLEANUP.to_owned());
        }
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object(&mut object.body, "spec") else {
            return;
        };
        if let Some(names) = fill::object(spec, "names") {
            let kind = fill::text(names, "kind").to_owned();
            if !kind.is_empty() {
                fill::absent(names, "singular", kind.to_lowercase());
                fill::absent(names, "listKind", format!("{kind}List"));
            }
        }
        fill::absent(spec, "conversion", json!({"strategy": "None"}));
        let webhook = fill::object(spec, "conversion").and_then(|conversion| fill::object(conversion, "webhook"));
        let client = webhook.and_then(|webhook| fill::object(webhook, "clientConfig"));
        if let Some(service) = client.and_then(|client| fill::object(client, "service")) {
            fill::absent(service, "port", 443);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        validate(object, None)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = validate(new, Some(old));
        spec::validate_update(new, old, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        spec::validate_accepted_names(new, &mut errors);
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let mut warnings = schema::warnings(object);
        if object.at("spec.conversion.strategy").and_then(Value::as_str) == Some("Webhook") {
            warnings.push(
                "spec.conversion.strategy: conversion webhooks are not called; only the storage version is served"
                    .into(),
            );
        }
        warnings
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column {
                kind: "date",
                ..Column::text("Created At", "When the definition was created.")
            },
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let created = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0.to_string());
        vec![object.name().into(), created.unwrap_or_default().into()]
    }
}

fn validate(object: &Object, old: Option<&Object>) -> Vec<Error> {
    let mut errors = Vec::new();
    let spec = fields(object, "spec");
    let text = |name: &str| object.at(name).and_then(Value::as_str).unwrap_or_default();
    if object.name() != format!("{}.{}", text("spec.names.plural"), text("spec.group")) {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(Error::invalid(
            &Path::new("metadata").child("name"),
            object.name(),
            detail,
        ));
    }
    if let Some(spec) = spec {
        spec::validate(spec, &mut errors);
    } else {
        errors.push(Error::required(&Path::new("spec"), ""));
    }
    spec::validate_accepted_names(object, &mut errors);
    spec::validate_stored_versions(object, &mut errors);
    spec::validate_approval(object, old, &mut errors);
    errors
}

/// The versions in which objects may be stored: a version that was the storage version once stays until a client takes it away.
fn remember_storage_version(object: &mut Object) {
    let versions = object.at("spec.versions").and_then(Value::as_array);
    let storage = versions
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true);
    let Some(name) = storage.and_then(|version| version["name"].as_str()).map(str::to_owned) else {
        return;
    };
    let Some(status) = fill::object_or_empty(&mut object.body, "status") else {
        return;
    };
    fill::absent(status, "storedVersions", json!([]));
    if let Some(Value::Array(stored)) = status.get_mut("storedVersions")
        && !stored.iter().any(|version| version.as_str() == Some(&name))
    {
        stored.push(name.into());
    }
}
