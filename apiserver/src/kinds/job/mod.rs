//! Jobs: pods that come to an end, as often as it takes.
//!
//! `validation` also serves the job templates of cron jobs; `policies` are the rules for failures and success, `update` says
//! what may still change, `columns` what a table shows.

mod columns;
mod policies;
mod update;
pub(super) mod validation;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::pod_template::{self, Template};
use super::workload::{self, count};
use super::{Column, Rules, fields};

/// What tells the pods of a job: each label also without its domain, as it was once.
const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";

/// Retries without end: the limit is counted for each index.
const NO_LIMIT: i32 = i32::MAX;

pub(super) struct Jobs;

impl Rules for Jobs {
    // As it was before garbage collection, for clients of that time.
    fn orphans_by_default(&self) -> bool {
        true
    }

    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({}));
        if object.at("spec.manualSelector") != Some(&Value::Bool(true)) {
            select_own_pods(object);
        }
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
            spec.insert("completions".to_owned(), 1.into());
        }
        fill::absent(spec, "parallelism", 1);
        let by_index = spec.contains_key("backoffLimitPerIndex");
        fill::absent(spec, "backoffLimit", if by_index { NO_LIMIT } else { 6 });
        fill::absent(spec, "completionMode", "NonIndexed");
        fill::absent(spec, "suspend", false);
        fill::absent(spec, "manualSelector", false);
        template_defaults(spec);
        let replacement = if spec.contains_key("podFailurePolicy") {
            "Failed"
        } else {
            "TerminatingOrFailed"
        };
        fill::absent(spec, "podReplacementPolicy", replacement);
        let labels = Template::of(Some(spec)).labels();
        if !labels.is_empty() && object.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            object.metadata.labels = Some(labels);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        validation::job(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        update::check(new, old, &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        update::check_status(
            fields(new, "status"),
            fields(old, "status"),
            &Path::new("status"),
            &mut errors,
        );
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let template = Template::of(fields(object, "spec")).warnings("spec.template");
        workload::name_warning(object).into_iter().chain(template).collect()
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn fields(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn field(&self, object: &Object, _path: &str) -> String {
        count(fields(object, "status"), "succeeded").to_string()
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        columns::cells(object, now)
    }
}

/// The template of a job, or of a cron job's jobs.
pub(super) fn template_defaults(spec: &mut Fields) {
    pod_template::defaults(spec);
    if let Some(policy) = fill::object(spec, "podFailurePolicy") {
        for rule in fill::items(policy, "rules") {
            for pattern in fill::items(rule, "onPodConditions") {
                fill::absent(pattern, "status", "True");
            }
        }
    }
}

/// Labels the template with the job's uid and name, and selects by the uid: no other job's pods have it. What the user has
/// set already stays, and is refused by validation if it doesn't fit.
fn select_own_pods(object: &mut Object) {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let name = object.name().to_owned();
    let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
        return;
    };
    let template = fill::object_or_empty(spec, "template");
    let metadata = template.and_then(|template| fill::object_or_empty(template, "metadata"));
    if let Some(labels) = metadata.and_then(|metadata| fill::object_or_empty(metadata, "labels")) {
        for (label, value) in [
            (NAME_LABEL, &name),
            (OLD_NAME_LABEL, &name),
            (UID_LABEL, &uid),
            (OLD_UID_LABEL, &uid),
        ] {
            fill::absent(labels, label, value.as_str());
        }
    }
    let selector = fill::object_or_empty(spec, "selector");
    if let Some(labels) = selector.and_then(|selector| fill::object_or_empty(selector, "matchLabels")) {
        fill::absent(labels, UID_LABEL, uid);
    }
}

#[cfg(test)]
mod tests;
