//! The rules for metadata, the same for every kind: names, labels, annotations, finalizers, owners, and what never changes.
//!
//! The sentences are those of apimachinery's `api/validation`. Whether a resource version fits is the registry's business.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use minik_api::field::{Error, Path};
use minik_api::kinds::{self, Kind};
use minik_api::names;
use serde_json::Value;

use super::NameRule;

const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
const IMMUTABLE: &str = "field is immutable";

/// Finalizers that may stand without a domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with the metadata of an object of this kind.
pub(crate) fn validate_metadata(kind: &Kind, name_rule: NameRule, metadata: &ObjectMeta) -> Vec<Error> {
    let path = Path::new("metadata");
    let mut errors = validate_names(kind, name_rule, metadata, &path);
    if let Some(generation) = metadata.generation.filter(|&generation| generation < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&path.child("generation"), generation, detail));
    }
    if let Some(labels) = &metadata.labels {
        errors.extend(validate_labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = &metadata.annotations {
        errors.extend(validate_annotations(annotations, &path.child("annotations")));
    }
    if let Some(owners) = &metadata.owner_references {
        errors.extend(validate_owners(owners, &path.child("ownerReferences")));
    }
    let path = path.child("finalizers");
    // Definitions, and the kinds that they define, take any qualified name.
    let of_kubernetes =
        kind.group != "apiextensions.k8s.io" && kinds::at(kind.group, kind.version, kind.plural).is_some();
    for finalizer in metadata.finalizers.iter().flatten() {
        errors.extend(match of_kubernetes {
            true => validate_finalizer(finalizer, &path),
            false => broken(&path, finalizer, names::qualified(finalizer)).collect(),
        });
    }
    errors
}

/// What is wrong with `new` in the place of `old`, besides what [`validate_metadata`] finds in `new` alone.
pub(crate) fn validate_metadata_update(new: &ObjectMeta, old: &ObjectMeta) -> Vec<Error> {
    let path = Path::new("metadata");
    let (before, after) = (fixed_fields(old), fixed_fields(new));
    let mut errors: Vec<Error> = before
        .into_iter()
        .zip(after)
        .filter(|((_, before), (_, after))| before != after)
        .map(|(_, (name, after))| Error::invalid(&path.child(name), after, IMMUTABLE))
        .collect();
    if new.generation.unwrap_or(0) < old.generation.unwrap_or(0) {
        let detail = "must not be decremented";
        errors.push(Error::invalid(
            &path.child("generation"),
            new.generation.unwrap_or(0),
            detail,
        ));
    }
    if old.deletion_timestamp.is_some() {
        errors.extend(validate_finalizers_of_deleted(new, old, &path.child("finalizers")));
    }
    errors
}

/// Labels, wherever they stand.
pub(crate) fn validate_labels(labels: &BTreeMap<String, String>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (key, value) in labels {
        errors.extend(broken(path, key, names::qualified(key)));
        errors.extend(broken(path, value, names::label_value(value)));
    }
    errors
}

/// Annotations, wherever they stand.
pub(crate) fn validate_annotations(annotations: &BTreeMap<String, String>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for key in annotations.keys() {
        errors.extend(broken(path, key, names::qualified(&key.to_lowercase())));
    }
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > ANNOTATIONS_MAX_BYTES {
        errors.push(Error::too_long(path, ANNOTATIONS_MAX_BYTES));
    }
    errors
}

/// One error for each rule that `value` breaks.
pub(crate) fn broken(path: &Path, value: &str, rules: Vec<String>) -> impl Iterator<Item = Error> {
    rules.into_iter().map(move |rule| Error::invalid(path, value, rule))
}

fn validate_names(kind: &Kind, rule: NameRule, metadata: &ObjectMeta, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(prefix) = filled(&metadata.generate_name) {
        // What is generated ends in a letter or digit, so the prefix may end in anything.
        let masked = prefix
            .strip_suffix('-')
            .map_or(prefix.clone(), |head| format!("{head}a"));
        errors.extend(broken(&path.child("generateName"), &prefix, rule(&masked)));
    }
    match filled(&metadata.name) {
        Some(name) => errors.extend(broken(&path.child("name"), &name, rule(&name))),
        None => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
    }
    let path = path.child("namespace");
    match (kind.namespaced, filled(&metadata.namespace)) {
        (true, None) => errors.push(Error::required(&path, "")),
        (true, Some(namespace)) => errors.extend(broken(&path, &namespace, names::label(&namespace))),
        (false, Some(_)) => errors.push(Error::forbidden(&path, "not allowed on this type")),
        (false, None) => {}
    }
    errors
}

fn validate_owners(owners: &[OwnerReference], path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut controller: Option<&str> = None;
    for owner in owners {
        for (name, value, rule) in [
            ("apiVersion", &owner.api_version, "version must not be empty"),
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ] {
            if value.is_empty() {
                errors.push(Error::invalid(&path.child(name), "", rule));
            }
        }
        if owner.kind == "Event" && owner.api_version == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(Error::invalid(path, owner.name.as_str(), detail));
        }
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            None => controller = Some(&owner.name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                    owner.name
                );
                errors.push(Error::invalid(path, owner.name.as_str(), detail));
            }
        }
    }
    errors
}

/// A finalizer: one of Kubernetes' own, or one with a domain.
pub(super) fn validate_finalizer(finalizer: &str, path: &Path) -> Vec<Error> {
    let mut errors: Vec<Error> = broken(path, finalizer, names::qualified(finalizer)).collect();
    if errors.is_empty() && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(Error::invalid(path, finalizer, detail));
    }
    errors
}

fn validate_finalizers_of_deleted(new: &ObjectMeta, old: &ObjectMeta, path: &Path) -> Option<Error> {
    let known = old.finalizers.as_deref().unwrap_or_default();
    let added: Vec<String> = new
        .finalizers
        .iter()
        .flatten()
        .filter(|finalizer| !known.contains(finalizer))
        .map(|finalizer| format!("{finalizer:?}"))
        .collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    (!added.is_empty()).then(|| Error::forbidden(path, detail))
}

/// What an update may not change, each as it is shown.
fn fixed_fields(metadata: &ObjectMeta) -> [(&'static str, Value); 6] {
    let text = |text: &Option<String>| Value::from(text.clone().unwrap_or_default());
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref()
            .map_or(Value::Null, |time| Value::from(time.0.to_string()))
    };
    [
        ("name", text(&metadata.name)),
        ("namespace", text(&metadata.namespace)),
        ("uid", text(&metadata.uid)),
        ("creationTimestamp", time(&metadata.creation_timestamp)),
        ("deletionTimestamp", time(&metadata.deletion_timestamp)),
        (
            "deletionGracePeriodSeconds",
            metadata.deletion_grace_period_seconds.map_or(Value::Null, Value::from),
        ),
    ]
}

#[cfg(test)]
mod tests;
