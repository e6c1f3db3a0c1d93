//! What may still change in a pod that is there: next to nothing.

use k8s_openapi::api::core::v1::{ContainerStatus, PodSpec, PodStatus, Toleration};
use minik_api::field::{Error, Path};
use serde_json::Value;

use super::validation::scheduling;
use crate::kinds::checks;
use crate::kinds::fill::{self, Fields};

const MAY_CHANGE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const CHANGES_SHOWN: usize = 10;

/// The changes of a spec, typed and as it was written.
pub(super) struct Change<'a> {
    pub(super) new: &'a PodSpec,
    pub(super) old: &'a PodSpec,
    pub(super) new_fields: &'a Fields,
    pub(super) old_fields: &'a Fields,
}

/// What is wrong with the change of a spec.
pub(super) fn check(change: &Change<'_>, path: &Path, errors: &mut Vec<Error>) {
    let (new, old) = (change.new, change.old);
    for (list, new, old) in [
        ("containers", Some(&new.containers), Some(&old.containers)),
        (
            "initContainers",
            new.init_containers.as_ref(),
            old.init_containers.as_ref(),
        ),
    ] {
        if new.map_or(0, Vec::len) != old.map_or(0, Vec::len) {
            errors.push(Error::forbidden(
                &path.child(list),
                "pod updates may not add or remove containers",
            ));
            return;
        }
    }
    if !deadline(new, old, &path.child("activeDeadlineSeconds"), errors) {
        return;
    }
    let tolerations_of = |spec: &PodSpec| spec.tolerations.clone().unwrap_or_default();
    tolerations(
        &tolerations_of(new),
        &tolerations_of(old),
        &path.child("tolerations"),
        errors,
    );
    scheduling_gates(new, old, &path.child("schedulingGates"), errors);
    nothing_else(change, path, errors);
}

/// A deadline may come nearer, never go away. Tells whether it makes sense to look further.
fn deadline(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut Vec<Error>) -> bool {
    match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (_, Some(new)) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.push(Error::invalid(path, new, "must be between 0 and 2147483647, inclusive"));
            false
        }
        (Some(old), Some(new)) if old < new => {
            errors.push(Error::invalid(
                path,
                new,
                "must be less than or equal to previous value",
            ));
            false
        }
        (Some(_), None) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(Error::invalid(path, Value::Null, detail));
            true
        }
        _ => true,
    }
}

fn tolerations(new: &[Toleration], old: &[Toleration], path: &Path, errors: &mut Vec<Error>) {
    let same = |old: &Toleration, new: &Toleration| {
        let seconds = new.toleration_seconds;
        *new == Toleration {
            toleration_seconds: seconds,
            ..old.clone()
        }
    };
    if !old.iter().all(|old| new.iter().any(|new| same(old, new))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, detail));
        return;
    }
    scheduling::tolerations(new, path, errors);
}

fn scheduling_gates(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let known = old.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !known.contains(gate) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                gate.name
            );
            errors.push(Error::forbidden(&path.index(index).child("name"), detail));
        }
    }
}

/// Puts the old values in the place of all that may change; what differs then may not.
fn nothing_else(change: &Change<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mut munged = change.new_fields.clone();
    for list in ["containers", "initContainers"] {
        let old = change.old_fields.get(list).and_then(Value::as_array);
        for (new, old) in fill::items(&mut munged, list).zip(old.into_iter().flatten()) {
            restore(new, old, "image");
        }
    }
    let old = Value::Object(change.old_fields.clone());
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut munged, &old, field);
    }
    let grace = "terminationGracePeriodSeconds";
    let was_negative = change
        .old
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0);
    if was_negative && change.new.termination_grace_period_seconds == Some(1) {
        restore(&mut munged, &old, grace);
    }
    // A gated pod isn't scheduled yet: where it may go can still be narrowed.
    if change
        .old
        .scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty())
    {
        node_selector(change, &path.child("nodeSelector"), errors);
        restore(&mut munged, &old, "nodeSelector");
        restore(&mut munged, &old, "affinity");
    }
    let lines = differences(&path.to_string(), &old, &Value::Object(munged));
    if !lines.is_empty() {
        errors.push(Error::forbidden(path, format!("{MAY_CHANGE}\n{lines}")));
    }
}

/// One line for each place where two values differ, up to a number of them; empty when they are the same.
pub(in crate::kinds) fn differences(place: &str, old: &Value, new: &Value) -> String {
    let mut lines = Vec::new();
    differ(place, old, new, &mut lines);
    lines.truncate(CHANGES_SHOWN);
    lines.join("\n")
}

fn restore(fields: &mut Fields, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.remove(name),
    };
}

fn node_selector(change: &Change<'_>, path: &Path, errors: &mut Vec<Error>) {
    let kept = change
        .old
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| change.new.node_selector.as_ref().and_then(|labels| labels.get(key)) == Some(value));
    if !kept {
        let shown = change.new_fields.get("nodeSelector").cloned().unwrap_or(Value::Null);
        let detail = "only additions are allowed (no mutations or deletions)";
        errors.push(Error::invalid(path, shown, detail));
    }
}

/// One line for each place where two values differ.
fn differ(place: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                differ(
                    &format!("{place}.{key}"),
                    value,
                    new.get(key).unwrap_or(&Value::Null),
                    lines,
                );
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                differ(&format!("{place}.{key}"), &Value::Null, value, lines);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                differ(&format!("{place}[{index}]"), old, new, lines);
            }
        }
        _ if old != new => lines.push(format!("{place}: {old} -> {new}")),
        _ => {}
    }
}

/// What is wrong with the change of a status.
pub(super) fn check_status(new: &PodStatus, old: &PodStatus, spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if old.qos_class.is_some() && new.qos_class != old.qos_class {
        let shown = new.qos_class.as_deref().unwrap_or_default();
        errors.push(Error::invalid(&path.child("qosClass"), shown, "field is immutable"));
    }
    for (index, condition) in new.conditions.iter().flatten().enumerate() {
        let path = path.child("conditions").index(index).child("type");
        checks::name(minik_api::names::qualified, &condition.type_, &path, errors);
    }
    if spec.restart_policy.as_deref() != Some("Always") {
        let on_failure = spec.restart_policy.as_deref() == Some("OnFailure");
        let list = |statuses: &Option<Vec<ContainerStatus>>| statuses.clone().unwrap_or_default();
        let (new, old) = (list(&new.container_statuses), list(&old.container_statuses));
        stay_ended(&new, &old, on_failure, spec, &path.child("containerStatuses"), errors);
    }
}

/// A container that isn't restarted doesn't come back to life.
fn stay_ended(
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    on_failure: bool,
    spec: &PodSpec,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    let ended = |status: &ContainerStatus| status.state.as_ref().and_then(|state| state.terminated.clone());
    for old in old {
        let Some(terminated) = ended(old) else { continue };
        let own_policy = spec
            .containers
            .iter()
            .any(|container| container.name == old.name && container.restart_policy.is_some());
        if own_policy || (on_failure && terminated.exit_code != 0) {
            continue;
        }
        for (index, _) in new
            .iter()
            .enumerate()
            .filter(|(_, new)| new.name == old.name && ended(new).is_none())
        {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(Error::forbidden(&path.index(index).child("state"), detail));
        }
    }
}
