//! What a pod asks for has to be left on the node.

use k8s_openapi::api::core::v1::Pod;

use crate::requests;
use crate::snapshot::Candidate;

/// The node is out when a resource is short; every short one is named.
pub(super) fn filter(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if candidate.taken.pods + 1 > candidate.node.allocatable.get("pods") {
        reasons.push("Too many pods".to_owned());
    }
    for (name, wanted) in requests::of(pod).0 {
        let left = candidate.node.allocatable.get(&name) - candidate.taken.amounts.get(&name);
        if wanted > left {
            reasons.push(format!("Insufficient {name}"));
        }
    }
    reasons
}
