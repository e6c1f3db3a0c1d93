//! Where a pod may go: affinity and tolerations.

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec,
};
use k8s_openapi::api::core::v1::{Toleration, WeightedPodAffinityTerm};
use minik_api::field::{Error, Path};
use minik_api::names::{label, label_value, qualified, subdomain};

use super::checks;

pub(in crate::kinds) const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let Some(affinity) = &spec.affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        node_affinity(node, &path.child("nodeAffinity"), errors);
    }
    if let Some(pods) = &affinity.pod_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(required, preferred, &path.child("podAffinity"), errors);
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(required, preferred, &path.child("podAntiAffinity"), errors);
    }
}

pub(in crate::kinds) fn tolerations(tolerations: &[Toleration], path: &Path, errors: &mut Vec<Error>) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let operator = toleration.operator.as_deref().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let value = toleration.value.as_deref().unwrap_or_default();
        match toleration.key.as_deref().unwrap_or_default() {
            "" if operator != "Exists" => {
                let detail =
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
                errors.push(Error::invalid(&path.child("operator"), operator, detail));
            }
            "" => {}
            key => checks::name(qualified, key, &path.child("key"), errors),
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&path.child("effect"), effect, detail));
        }
        let path_operator = path.child("operator");
        match operator {
            "" | "Equal" => {
                let broken = label_value(value);
                if !broken.is_empty() {
                    errors.push(Error::invalid(&path_operator, value, broken.join(";")));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(Error::invalid(&path_operator, value, detail));
            }
            other => errors.push(Error::not_supported(&path_operator, other, &["Equal", "Exists"])),
        }
        checks::one_of_or_none(
            toleration.effect.as_deref(),
            TAINT_EFFECTS,
            &path.child("effect"),
            errors,
        );
    }
}

fn node_affinity(affinity: &NodeAffinity, path: &Path, errors: &mut Vec<Error>) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        node_selector(selector, &path.child(REQUIRED), errors);
    }
    let preferred = affinity
        .preferred_during_scheduling_ignored_during_execution
        .iter()
        .flatten();
    for (index, term) in preferred.enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(term.weight, &path, errors);
        node_term(&term.preference, false, &path.child("preference"), errors);
    }
}

/// Which nodes are meant.
pub(in crate::kinds) fn node_selector(selector: &NodeSelector, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(term, true, &path.index(index), errors);
    }
}

fn weight(weight: i32, path: &Path, errors: &mut Vec<Error>) {
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(
            &path.child("weight"),
            weight,
            "must be in the range 1-100",
        ));
    }
}

/// What is only preferred may name values that no label can have.
fn node_term(term: &NodeSelectorTerm, strict: bool, path: &Path, errors: &mut Vec<Error>) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(index);
        node_requirement(requirement, strict, &path, errors);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        node_field(requirement, &path.child("matchFields").index(index), errors);
    }
}

fn node_requirement(requirement: &NodeSelectorRequirement, strict: bool, path: &Path, errors: &mut Vec<Error>) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "Gt" | "Lt" if values.len() == 1 => {}
        "Gt" | "Lt" => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(&path.child("values"), detail));
        }
        operator => checks::selector_operator(operator, values.len(), path, errors),
    }
    checks::name(qualified, &requirement.key, &path.child("key"), errors);
    if strict {
        for (index, value) in values.iter().enumerate() {
            checks::name(label_value, value, &path.child("values").index(index), errors);
        }
    }
}

fn node_field(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut Vec<Error>) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), detail));
        }
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
    if requirement.key != "metadata.name" {
        let detail = "not a valid field selector key";
        errors.push(Error::invalid(&path.child("key"), requirement.key.as_str(), detail));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        checks::name(subdomain, value, &path.child("values").index(index), errors);
    }
}

fn pod_terms(
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    for (index, term) in required.into_iter().flatten().enumerate() {
        pod_term(term, &path.child(REQUIRED).index(index), errors);
    }
    for (index, term) in preferred.into_iter().flatten().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(term.weight, &path, errors);
        pod_term(&term.pod_affinity_term, &path.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut Vec<Error>) {
    checks::label_selector(term.label_selector.as_ref(), &path.child("labelSelector"), errors);
    checks::label_selector(
        term.namespace_selector.as_ref(),
        &path.child("namespaceSelector"),
        errors,
    );
    for namespace in term.namespaces.iter().flatten() {
        checks::name(label, namespace, &path.child("namespace"), errors);
    }
    let keys = [
        ("matchLabelKeys", &term.match_label_keys),
        ("mismatchLabelKeys", &term.mismatch_label_keys),
    ];
    for (field, list) in keys {
        for (index, key) in list.iter().flatten().enumerate() {
            checks::name(qualified, key, &path.child(field).index(index), errors);
        }
    }
    let path = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(Error::required(&path, "can not be empty"));
    }
    checks::name(qualified, &term.topology_key, &path, errors);
}
