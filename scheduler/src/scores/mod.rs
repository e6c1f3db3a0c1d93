//! Scores: of the nodes that are left, which suits a pod best.
//!
//! A score is a function of the pod and one node, any number of 0 and above; over all nodes the highest becomes 100, or 0
//! where less is better. Adding one is a file and a row.

mod resources;

use k8s_openapi::api::core::v1::Pod;

use crate::filters::{matches_term, preferred_terms, tolerates};
use crate::snapshot::Candidate;

/// The best that a node can get from one score.
pub(crate) const BEST: i64 = 100;

/// One score and how it counts.
pub(crate) struct Score {
    /// Kubernetes' name of the plugin.
    pub(crate) name: &'static str,
    /// How much it counts beside the others.
    pub(crate) weight: i64,
    /// How its numbers are read.
    pub(crate) scale: Scale,
    /// The number for one node.
    pub(crate) score: fn(&Pod, Candidate<'_>) -> i64,
}

/// How the numbers of a score are read.
#[derive(Clone, Copy)]
pub(crate) enum Scale {
    /// 0 to 100 already.
    Absolute,
    /// The highest of all nodes is 100.
    HighestIsBest,
    /// The highest of all nodes is 0.
    HighestIsWorst,
}

/// With upstream's weights.
pub(crate) const SCORES: &[Score] = &[
    Score {
        name: "TaintToleration",
        weight: 3,
        scale: Scale::HighestIsWorst,
        score: untolerated_taints,
    },
    Score {
        name: "NodeAffinity",
        weight: 2,
        scale: Scale::HighestIsBest,
        score: preferred_affinity,
    },
    Score {
        name: "NodeResourcesFit",
        weight: 1,
        scale: Scale::Absolute,
        score: resources::least_allocated,
    },
    Score {
        name: "NodeResourcesBalancedAllocation",
        weight: 1,
        scale: Scale::Absolute,
        score: resources::balanced,
    },
    Score {
        name: "ImageLocality",
        weight: 1,
        scale: Scale::HighestIsBest,
        score: image_bytes,
    },
];

impl Scale {
    /// Brings the numbers of all nodes to 0..=100.
    pub(crate) fn apply(self, numbers: &mut [i64]) {
        let highest = numbers.iter().copied().max().unwrap_or(0);
        for number in numbers {
            *number = match self {
                Self::Absolute => *number,
                Self::HighestIsBest if highest > 0 => *number * BEST / highest,
                Self::HighestIsBest => 0,
                Self::HighestIsWorst if highest > 0 => BEST - *number * BEST / highest,
                Self::HighestIsWorst => BEST,
            };
        }
    }
}

/// How many soft taints the pod would have to bear.
fn untolerated_taints(pod: &Pod, candidate: Candidate<'_>) -> i64 {
    let soft = candidate
        .node
        .taints
        .iter()
        .filter(|taint| taint.effect == "PreferNoSchedule");
    i64::try_from(soft.filter(|taint| !tolerates(pod, taint)).count()).unwrap_or(i64::MAX)
}

/// The weights of the wishes that the node fulfils.
fn preferred_affinity(pod: &Pod, candidate: Candidate<'_>) -> i64 {
    let wishes = preferred_terms(pod)
        .iter()
        .filter(|term| matches_term(&term.preference, candidate.node));
    wishes.map(|term| i64::from(term.weight)).sum()
}

/// How many bytes of the pod's images are there already.
fn image_bytes(pod: &Pod, candidate: Candidate<'_>) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let sizes = containers.filter_map(|container| candidate.node.images.get(container.image.as_deref()?));
    // In MiB, so that the scaling can't overflow.
    sizes.map(|bytes| bytes >> 20).sum()
}
