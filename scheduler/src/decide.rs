//! The decision: filter, score, pick. Pure: the same pod and snapshot give the same answer.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::filters::FILTERS;
use crate::scores::SCORES;
use crate::snapshot::{Candidate, Snapshot};

/// What to do with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It goes to this node.
    Bind(String),
    /// No node will do; in Kubernetes' words: `0/1 nodes are available: 1 Insufficient cpu.`
    Unschedulable(String),
}

/// Chooses a node for `pod`.
pub(crate) fn decide(pod: &Pod, snapshot: &Snapshot) -> Decision {
    let mut left = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut nodes = 0;
    for candidate in snapshot.candidates() {
        nodes += 1;
        let out = FILTERS
            .iter()
            .map(|(name, filter)| (name, filter(pod, candidate)))
            .find(|(_, out)| !out.is_empty());
        let Some((filter, out)) = out else {
            left.push(candidate);
            continue;
        };
        tracing::debug!(node = candidate.node.name, filter, reasons = ?out, "node is out");
        for reason in out {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    match best(pod, &left) {
        Some(node) => Decision::Bind(node),
        None => Decision::Unschedulable(sentence(nodes, &reasons)),
    }
}

/// The name of the highest score; of equals the one with the fewest pods, then the first by name.
fn best(pod: &Pod, left: &[Candidate<'_>]) -> Option<String> {
    let mut totals = vec![0; left.len()];
    // With one node there is nothing to compare.
    for score in SCORES.iter().filter(|_| left.len() > 1) {
        let mut numbers: Vec<i64> = left.iter().map(|&candidate| (score.score)(pod, candidate)).collect();
        score.scale.apply(&mut numbers);
        tracing::debug!(score = score.name, ?numbers, "scored");
        for (total, number) in totals.iter_mut().zip(numbers) {
            *total += score.weight * number;
        }
    }
    let ranked = left.iter().zip(totals);
    let winner = ranked.min_by_key(|(candidate, total)| (-total, candidate.taken.pods, &candidate.node.name));
    winner.map(|(candidate, _)| candidate.node.name.clone())
}

fn sentence(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut counted: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    counted.sort();
    format!("0/{nodes} nodes are available: {}.", counted.join(", "))
}

#[cfg(test)]
mod tests;
