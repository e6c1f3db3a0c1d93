//! A port of the node belongs to one pod.

use k8s_openapi::api::core::v1::Pod;

use super::reason;
use crate::requests;
use crate::snapshot::Candidate;

/// The node is out when a pod on it has a host port that this one wants.
pub(super) fn filter(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let wanted = requests::host_ports(pod);
    let out = wanted
        .iter()
        .any(|port| candidate.taken.ports.iter().any(|taken| taken.conflicts(port)));
    reason(out, || {
        "node(s) didn't have free ports for the requested pod ports".into()
    })
}
