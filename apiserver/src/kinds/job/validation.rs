//! What a job may say (upstream's pkg/apis/batch/validation).

use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::selector::Labels;
use serde_json::{Value, json};

use super::{NAME_LABEL, OLD_NAME_LABEL, OLD_UID_LABEL, UID_LABEL, policies};
use crate::kinds::fill::{self, Fields};
use crate::kinds::pod_template::Template;
use crate::kinds::workload::{self, counts, number};
use crate::kinds::{checks, fields};

/// Status tells the completed indexes in a text, which has to stay short.
const PARALLELISM_MAX: i64 = 100_000;
/// With retries by index there is more to tell.
const COMPLETIONS_MAX: i64 = 1_000_000;
const PARALLELISM_OF_MANY_MAX: i64 = 10_000;
const COMPLETIONS_OF_FEW: i64 = 100_000;
const MAX_FAILED: i64 = 100_000;
const MAX_FAILED_OF_MANY: i64 = 10_000;
const MANAGED_BY_MAX: usize = 63;

/// A whole job.
pub(super) fn job(object: &Object) -> Vec<Error> {
    let (job_spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
    if object.at("spec.manualSelector") != Some(&Value::Bool(true)) {
        generated_selector(object, &path, &mut errors);
    }
    spec(job_spec, &path, &mut errors);
    let selector_path = path.child("selector");
    match workload::selector(job_spec) {
        None => errors.push(Error::required(&selector_path, "")),
        Some(selector) => {
            checks::label_selector(Some(&selector), &selector_path, &mut errors);
            if let Ok(labels) = Labels::from_spec(&selector) {
                let template = Template::of(job_spec);
                workload::selects_template(&labels, template, &path.child("template"), &mut errors);
            }
        }
    }
    let indexed = job_spec.is_some_and(|spec| fill::text(spec, "completionMode") == "Indexed");
    if let Some(completions) = number(job_spec, "completions").filter(|&completions| indexed && completions > 0) {
        let longest = format!("{}-{}", object.name(), completions - 1);
        if !names::label(&longest).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {longest}");
            let path = Path::new("metadata").child("name");
            errors.push(Error::invalid(&path, object.name(), detail));
        }
    }
    errors
}

/// Labels and selector are those that the server made.
fn generated_selector(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let job_spec = fields(object, "spec");
    let Some(selector) = workload::selector(job_spec) else {
        return;
    };
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    if uid.is_empty() {
        errors.push(Error::required(&Path::new("metadata").child("uid"), ""));
    }
    let expected = [
        (OLD_UID_LABEL, uid),
        (OLD_NAME_LABEL, object.name()),
        (UID_LABEL, uid),
        (NAME_LABEL, object.name()),
    ];
    let labels = Template::of(job_spec).labels();
    let labels_path = path.child("template").child("metadata").child("labels");
    for (label, value) in expected {
        let detail = format!("must be '{value}'");
        match labels.get(label) {
            None => errors.push(Error::required(&labels_path.key(label), detail)),
            Some(there) if there != value => {
                errors.push(Error::invalid(&labels_path.key(label), json!(labels), detail));
            }
            Some(_) => {}
        }
    }
    let expected = expected.map(|(label, value)| (label.to_owned(), value.to_owned()));
    if Labels::from_spec(&selector).is_ok_and(|selector| !selector.matches(&expected.into())) {
        let shown = object.at("spec.selector").cloned().unwrap_or_default();
        let path = path.child("selector");
        errors.push(Error::invalid(&path, shown, "`selector` not auto-generated"));
    }
}

/// The spec of a job, or of a cron job's jobs, but for the selector.
pub(in crate::kinds) fn spec(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let names = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    counts(spec, &names, path, errors);
    let text = |name: &str| spec.and_then(|spec| spec.get(name)?.as_str());
    managed_by(text("managedBy"), &path.child("managedBy"), errors);
    let mode_path = path.child("completionMode");
    match text("completionMode") {
        Some("Indexed") => indexed(spec, path, errors),
        mode => {
            if let Some(mode) = mode.filter(|mode| *mode != "NonIndexed") {
                errors.push(Error::not_supported(&mode_path, mode, &["Indexed", "NonIndexed"]));
            }
            not_indexed(spec, path, errors);
        }
    }
    let template = Template::of(spec);
    policies::failure(spec, template, &path.child("podFailurePolicy"), errors);
    policies::success(spec, &path.child("successPolicy"), errors);
    replacement(spec, &path.child("podReplacementPolicy"), errors);
    let path = path.child("template");
    template.validate(&path, errors);
    restart_policy(spec, template.text("restartPolicy"), &path, errors);
}

fn managed_by(name: Option<&str>, path: &Path, errors: &mut Vec<Error>) {
    let Some(name) = name else { return };
    let good = name.split_once('/').is_some_and(|(domain, rest)| {
        names::subdomain(domain).is_empty() && !rest.is_empty() && !rest.contains(char::is_whitespace)
    });
    if !good {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(Error::invalid(path, name, detail));
    }
    if name.len() > MANAGED_BY_MAX {
        errors.push(Error::too_long(path, MANAGED_BY_MAX));
    }
}

fn indexed(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let (completions, parallelism) = (number(spec, "completions"), number(spec, "parallelism"));
    let max_failed = number(spec, "maxFailedIndexes");
    if completions.is_none() {
        let detail = "when completion mode is Indexed";
        errors.push(Error::required(&path.child("completions"), detail));
    }
    let why = "completion mode is Indexed";
    at_most(parallelism, PARALLELISM_MAX, why, &path.child("parallelism"), errors);
    if number(spec, "backoffLimitPerIndex").is_none() {
        if max_failed.is_some() {
            let detail = "when maxFailedIndexes is specified";
            errors.push(Error::required(&path.child("backoffLimitPerIndex"), detail));
        }
        return;
    }
    let why = "backoffLimitPerIndex is specified";
    at_most(completions, COMPLETIONS_MAX, why, &path.child("completions"), errors);
    let max_failed_path = path.child("maxFailedIndexes");
    if let (Some(max_failed), Some(completions)) = (max_failed, completions)
        && max_failed > completions
    {
        let detail = "must be less than or equal to completions";
        errors.push(Error::invalid(&max_failed_path, max_failed, detail));
    }
    if completions.is_none_or(|completions| completions <= COMPLETIONS_OF_FEW) {
        at_most(max_failed, MAX_FAILED, why, &max_failed_path, errors);
        return;
    }
    let why = "completions are above 100000 and used with backoff limit per index";
    at_most(
        parallelism,
        PARALLELISM_OF_MANY_MAX,
        why,
        &path.child("parallelism"),
        errors,
    );
    at_most(max_failed, MAX_FAILED_OF_MANY, why, &max_failed_path, errors);
    if max_failed.is_none() {
        let detail = format!("must be specified when completions is above {COMPLETIONS_OF_FEW}");
        errors.push(Error::required(&max_failed_path, detail));
    }
}

fn at_most(value: Option<i64>, limit: i64, why: &str, path: &Path, errors: &mut Vec<Error>) {
    if let Some(value) = value.filter(|&value| value > limit) {
        let detail = format!("must be less than or equal to {limit} when {why}");
        errors.push(Error::invalid(path, value, detail));
    }
}

fn not_indexed(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(value) = number(spec, name) {
            let detail = "requires indexed completion mode";
            errors.push(Error::invalid(&path.child(name), value, detail));
        }
    }
}

fn replacement(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let Some(policy) = spec.and_then(|spec| spec.get("podReplacementPolicy")?.as_str()) else {
        return;
    };
    let with_failures = spec.is_some_and(|spec| spec.contains_key("podFailurePolicy"));
    let supported: &[&str] = if with_failures {
        &["Failed"]
    } else {
        &["Failed", "TerminatingOrFailed"]
    };
    if !supported.contains(&policy) {
        errors.push(Error::not_supported(path, policy, supported));
    }
}

/// A job's pods end: they are started again after a failure at most.
fn restart_policy(spec: Option<&Fields>, policy: &str, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("spec").child("restartPolicy");
    let has = |name: &str| spec.is_some_and(|spec| spec.contains_key(name));
    match policy {
        "" | "Always" => errors.push(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if has("podFailurePolicy") => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(Error::invalid(&path, policy, detail));
        }
        "OnFailure" if has("backoffLimitPerIndex") => {
            let detail = "only \"Never\" is supported when backoffLimitPerIndex is specified";
            errors.push(Error::invalid(&path, policy, detail));
        }
        "OnFailure" | "Never" => {}
        _ => errors.push(Error::not_supported(&path, policy, &["Never", "OnFailure"])),
    }
}
