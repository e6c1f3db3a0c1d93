//! What may still change in a job that is there: how many pods work at a time, and little else.

use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::fill::{self, Fields};
use crate::kinds::workload::{counts, number};
use crate::kinds::{checks, fields};

/// Where pods may go can change as long as none has gone anywhere: the fields of the template's spec.
const SCHEDULING: [&str; 4] = ["affinity", "nodeSelector", "schedulingGates", "tolerations"];

/// The change of a spec.
pub(super) fn check(new: &Object, old: &Object, path: &Path, errors: &mut Vec<Error>) {
    let (new_spec, old_spec) = (fields(new, "spec"), fields(old, "spec"));
    completions(new_spec, old_spec, &path.child("completions"), errors);
    immutable(new, old, "selector", path, errors);
    template(new, old, &path.child("template"), errors);
    for name in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        immutable(new, old, name, path, errors);
    }
}

fn immutable(new: &Object, old: &Object, name: &str, path: &Path, errors: &mut Vec<Error>) {
    let place = format!("spec.{name}");
    checks::immutable(new.at(&place), old.at(&place), &path.child(name), errors);
}

/// Only a job that counts its pods by index can grow and shrink, all at once.
fn completions(new: Option<&Fields>, old: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let (now, before) = (number(new, "completions"), number(old, "completions"));
    if now == before {
        return;
    }
    let indexed = new.is_some_and(|spec| fill::text(spec, "completionMode") == "Indexed");
    match now {
        Some(now) if indexed => {
            if Some(now) != number(new, "parallelism") {
                let detail = "can only be modified in tandem with spec.parallelism";
                errors.push(Error::invalid(path, now, detail));
            }
        }
        None if indexed => {}
        _ => errors.push(Error::invalid(
            path,
            now.map_or(Value::Null, Value::from),
            "field is immutable",
        )),
    }
}

fn template(new: &Object, old: &Object, path: &Path, errors: &mut Vec<Error>) {
    let (Some(mut now), Some(before)) = (new.at("spec.template").cloned(), old.at("spec.template")) else {
        return;
    };
    let asleep = old.at("spec.suspend") == Some(&Value::Bool(true)) && old.at("status.startTime").is_none();
    if asleep {
        for (section, names) in [("spec", &SCHEDULING[..]), ("metadata", &["annotations", "labels"])] {
            let Some(fields) = now.get_mut(section).and_then(Value::as_object_mut) else {
                continue;
            };
            for name in names {
                match before.get(section).and_then(|section| section.get(name)) {
                    Some(value) => fields.insert((*name).to_owned(), value.clone()),
                    None => fields.remove(*name),
                };
            }
        }
    }
    checks::immutable(Some(&now), Some(before), path, errors);
}

/// The change of a status.
pub(super) fn check_status(new: Option<&Fields>, old: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let names = ["active", "succeeded", "failed", "ready", "terminating"];
    counts(new, &names, path, errors);
    let (done, failed) = (condition(new, "Complete"), condition(new, "Failed"));
    if done && failed {
        let detail = "cannot set Complete=True and Failed=true conditions";
        let shown = new.and_then(|status| status.get("conditions")).cloned();
        errors.push(Error::invalid(
            &path.child("conditions"),
            shown.unwrap_or_default(),
            detail,
        ));
    }
    for (name, detail) in [
        ("Complete", "cannot disable the terminal Complete=True condition"),
        ("Failed", "cannot disable the terminal Failed=True condition"),
    ] {
        if condition(old, name) && !condition(new, name) {
            let shown = new.and_then(|status| status.get("conditions")).cloned();
            errors.push(Error::invalid(
                &path.child("conditions"),
                shown.unwrap_or_default(),
                detail,
            ));
        }
    }
    let time = |status: Option<&Fields>, name: &str| status.and_then(|status| status.get(name)).cloned();
    let (finished, before) = (time(new, "completionTime"), time(old, "completionTime"));
    let path = path.child("completionTime");
    if before.is_some() && finished != before {
        errors.push(Error::invalid(
            &path,
            finished.unwrap_or_default(),
            "field is immutable",
        ));
    } else if let Some(finished) = finished
        && !done
    {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.push(Error::invalid(&path, finished, detail));
    }
}

/// Whether the status has this condition, and it is true.
pub(super) fn condition(status: Option<&Fields>, kind: &str) -> bool {
    let conditions = status.and_then(|status| status.get("conditions")?.as_array());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}
