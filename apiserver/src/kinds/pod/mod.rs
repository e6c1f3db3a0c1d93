//! Pods.
//!
//! `defaults` and `validation` also serve the pod templates of other kinds; `update` says what may still change, `columns`
//! what a table shows, `qos` who is killed last.

mod columns;
pub(in crate::kinds) mod defaults;
mod ephemeral;
mod qos;
mod resize;
mod update;
pub(in crate::kinds) mod validation;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodSpec, PodStatus};
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::checks::section;
use super::fill::{self, Fields};
use super::{Column, Rules, fields, keep, keep_all_but_status, text_at};

pub(super) use update::differences;

/// What pods have that a kubelet runs without the API server.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) struct Pods;

impl Rules for Pods {
    fn prepare_create(&self, object: &mut Object) {
        // The class counts requests, and those may come from limits by default.
        self.defaults(object);
        let class = section::<PodSpec>(object, "spec").map_or("BestEffort", |spec| qos::class(&spec));
        object
            .body
            .insert("status".to_owned(), json!({"phase": "Pending", "qosClass": class}));
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "status");
    }

    fn prepare_status_update(&self, new: &mut Object, old: &Object) {
        keep_all_but_status(new, old);
        let class = old.at("status.qosClass").cloned();
        if let (Some(status), Some(class)) = (fill::object(&mut new.body, "status"), class) {
            fill::absent(status, "qosClass", class);
        }
    }

    fn prepare_part_update(&self, part: &str, new: &mut Object, old: &Object) {
        match part {
            "ephemeralcontainers" => ephemeral::prepare(new, old),
            "resize" => resize::prepare(new, old),
            _ => super::keep_all(new, old),
        }
    }

    fn validate_part_update(&self, part: &str, new: &Object, old: &Object) -> Vec<Error> {
        let annotations = old.metadata.annotations.as_ref();
        let is_static = annotations.is_some_and(|annotations| annotations.contains_key(MIRROR));
        let mut errors = with_spec(new, |spec, path, errors| {
            validation::pod_spec(spec, new.metadata.name.as_deref(), path, errors);
            validation::pod_only(spec, path, errors);
        });
        match part {
            "ephemeralcontainers" if is_static => {
                let detail = "static pods do not support ephemeral containers";
                errors = vec![Error::forbidden(&Path::default(), detail)];
            }
            "ephemeralcontainers" => ephemeral::check(new, old, &mut errors),
            _ if is_static => errors = vec![Error::forbidden(&Path::default(), "static pods cannot be resized")],
            _ => resize::check(new, old, &mut errors),
        }
        errors
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            defaults::pod(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        with_spec(object, |spec, path, errors| {
            validation::pod_spec(spec, object.metadata.name.as_deref(), path, errors);
            validation::pod_only(spec, path, errors);
            validation::created_pod(spec, path, errors);
        })
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        with_spec(new, |spec, path, errors| {
            validation::pod_spec(spec, new.metadata.name.as_deref(), path, errors);
            validation::pod_only(spec, path, errors);
            match section::<PodSpec>(old, "spec") {
                Err(error) => errors.push(error),
                Ok(old_spec) => {
                    let none = Fields::new();
                    let change = update::Change {
                        new: spec,
                        old: &old_spec,
                        new_fields: fields(new, "spec").unwrap_or(&none),
                        old_fields: fields(old, "spec").unwrap_or(&none),
                    };
                    update::check(&change, path, errors);
                }
            }
        })
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let statuses = || Ok((section(new, "status")?, section(old, "status")?, section(old, "spec")?));
        match statuses() {
            Err(error) => errors.push(error),
            Ok((new, old, spec)) => update::check_status(&new, &old, &spec, &Path::new("status"), &mut errors),
        }
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let mut warnings = Vec::new();
        let broken = names::label(object.name());
        if !object.name().is_empty() && !broken.is_empty() {
            warnings.push(format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
                broken.join(" ")
            ));
        }
        let spec = section::<PodSpec>(object, "spec").unwrap_or_default();
        warnings.extend(self::warnings(&spec, "spec"));
        warnings
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// A pod that no kubelet runs, or that is over, has nobody to wait for.
    fn grace_seconds(&self, object: &Object, asked: Option<i64>) -> Option<i64> {
        let over = matches!(text_at(object, "status.phase").as_str(), "Succeeded" | "Failed");
        if over || text_at(object, "spec.nodeName").is_empty() {
            return Some(0);
        }
        let own = object.at("spec.terminationGracePeriodSeconds").and_then(Value::as_i64);
        let seconds = asked.or(own).unwrap_or(0);
        Some(if seconds < 0 { 1 } else { seconds })
    }

    fn fields(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match (path, text_at(object, path)) {
            ("spec.hostNetwork", text) if text.is_empty() => "false".to_owned(),
            (_, text) => text,
        }
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = section::<PodSpec>(object, "spec").unwrap_or_default();
        let status = section::<PodStatus>(object, "status").unwrap_or_default();
        columns::cells(&object.metadata, &spec, &status, now)
    }
}

/// What isn't wrong with the spec of a pod or template, at this place, but will hurt.
pub(super) fn warnings(spec: &PodSpec, place: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let variables = container.env.as_deref().unwrap_or_default();
        for (at, variable) in variables.iter().enumerate() {
            if variables[..at].iter().any(|earlier| earlier.name == variable.name) {
                warnings.push(format!(
                    "{place}.containers[{index}].env[{at}]: hides previous definition of {:?}, which may be dropped when using apply",
                    variable.name
                ));
            }
        }
    }
    warnings
}

/// Checks the spec, or tells why it is none.
fn with_spec(object: &Object, check: impl FnOnce(&PodSpec, &Path, &mut Vec<Error>)) -> Vec<Error> {
    let mut errors = Vec::new();
    match section::<PodSpec>(object, "spec") {
        Err(error) => errors.push(error),
        Ok(spec) => check(&spec, &Path::new("spec"), &mut errors),
    }
    errors
}

#[cfg(test)]
mod tests;
