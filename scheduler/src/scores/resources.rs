//! Scores by CPU and memory: spread pods over nodes, and keep the two in balance on each.

use k8s_openapi::api::core::v1::Pod;

use super::BEST;
use crate::requests::{self, Amounts};
use crate::snapshot::Candidate;

/// What a container that asks for nothing is taken to need when scoring, as upstream does, so that such pods spread too.
const UNASKED: [(&str, i64); 2] = [("cpu", 100), ("memory", 200 << 20)];

/// The mean share of CPU and memory that would be left.
pub(super) fn least_allocated(pod: &Pod, candidate: Candidate<'_>) -> i64 {
    let [cpu, memory] = used_hundredths(pod, candidate);
    (BEST - cpu + BEST - memory) / 2
}

/// How close CPU and memory would be in use.
pub(super) fn balanced(pod: &Pod, candidate: Candidate<'_>) -> i64 {
    let [cpu, memory] = used_hundredths(pod, candidate);
    BEST - (cpu - memory).abs() / 2
}

fn used_hundredths(pod: &Pod, candidate: Candidate<'_>) -> [i64; 2] {
    let asked = requests::of(pod);
    UNASKED.map(|(name, unasked)| {
        let wanted = or_unasked(&asked, name, unasked);
        let used = candidate.taken.amounts.get(name).saturating_add(wanted);
        match candidate.node.allocatable.get(name) {
            0 => BEST,
            all => i64::try_from(i128::from(used) * i128::from(BEST) / i128::from(all))
                .unwrap_or(BEST)
                .clamp(0, BEST),
        }
    })
}

fn or_unasked(asked: &Amounts, name: &str, unasked: i64) -> i64 {
    match asked.get(name) {
        0 => unasked,
        amount => amount,
    }
}
