//! Node selectors and node affinity: where a pod must, or would like to, go.

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, Pod, PreferredSchedulingTerm,
};
use minik_api::selector::Operator;

use super::reason;
use crate::snapshot::{Candidate, NodeInfo};

/// The node is out when it lacks a label of `nodeSelector`, or matches no term of the required node affinity.
pub(super) fn filter(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    let labelled = selector
        .into_iter()
        .flatten()
        .all(|(key, value)| candidate.node.labels.get(key) == Some(value));
    let required = node_affinity(pod).and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let matched = required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| matches_term(term, candidate.node))
    });
    reason(!(labelled && matched), || {
        "node(s) didn't match Pod's node affinity/selector".into()
    })
}

/// The pod's wishes, with their weights.
pub(crate) fn preferred_terms(pod: &Pod) -> &[PreferredSchedulingTerm] {
    node_affinity(pod)
        .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

/// Whether a node has all that a term asks for. A term that asks for nothing matches nothing.
pub(crate) fn matches_term(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let label = |requirement: &NodeSelectorRequirement| {
        holds(requirement, node.labels.get(&requirement.key).map(String::as_str))
    };
    // `metadata.name` is the only field that can be asked for.
    let field = |requirement: &NodeSelectorRequirement| {
        requirement.key == "metadata.name" && holds(requirement, Some(&node.name))
    };
    !(expressions.is_empty() && fields.is_empty()) && expressions.iter().all(label) && fields.iter().all(field)
}

/// An operator that isn't known holds for nothing: validation has refused it already.
fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    Operator::named(&requirement.operator, requirement.values.clone().unwrap_or_default())
        .is_ok_and(|operator| operator.holds(value))
}

fn node_affinity(pod: &Pod) -> Option<&NodeAffinity> {
    pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()
}
