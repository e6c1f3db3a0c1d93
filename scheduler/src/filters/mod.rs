//! Filters: which nodes a pod can't go to, each with Kubernetes' own reason.
//!
//! A filter is a function of the pod and one node; adding one is a file and a row.

mod affinity;
mod ports;
mod resources;
mod taints;

pub(crate) use affinity::{matches_term, preferred_terms};
pub(crate) use taints::tolerates;

use k8s_openapi::api::core::v1::Pod;

use crate::snapshot::Candidate;

/// Why a node is out; none when it may be chosen.
pub(crate) type Filter = fn(&Pod, Candidate<'_>) -> Vec<String>;

/// In order; the first that says no ends the question for that node.
pub(crate) const FILTERS: &[(&str, Filter)] = &[
    ("NodeUnschedulable", unschedulable),
    ("NodeName", node_name),
    ("TaintToleration", taints::filter),
    ("NodeAffinity", affinity::filter),
    ("NodePorts", ports::filter),
    ("NodeResourcesFit", resources::filter),
];

/// A cordoned node takes only pods that tolerate just that.
fn unschedulable(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let taint = k8s_openapi::api::core::v1::Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        effect: "NoSchedule".into(),
        ..Default::default()
    };
    let out = candidate.node.unschedulable && !tolerates(pod, &taint);
    reason(out, || "node(s) were unschedulable".into())
}

/// A pod that names its node goes there or nowhere.
fn node_name(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let wanted = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .filter(|name| !name.is_empty());
    let out = wanted.is_some_and(|wanted| wanted != candidate.node.name);
    reason(out, || "node(s) didn't match the requested node name".into())
}

fn reason(out: bool, why: impl FnOnce() -> String) -> Vec<String> {
    if out { vec![why()] } else { Vec::new() }
}
