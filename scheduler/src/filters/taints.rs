//! Taints keep pods away that don't tolerate them.

use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

use super::reason;
use crate::snapshot::Candidate;

/// The node is out when it has a `NoSchedule` or `NoExecute` taint that the pod doesn't tolerate.
pub(super) fn filter(pod: &Pod, candidate: Candidate<'_>) -> Vec<String> {
    let hard = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    let Some(taint) = candidate
        .node
        .taints
        .iter()
        .filter(hard)
        .find(|taint| !tolerates(pod, taint))
    else {
        return Vec::new();
    };
    let value = taint.value.as_deref().unwrap_or_default();
    reason(true, || {
        format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)
    })
}

/// Whether one of the pod's tolerations is for this taint.
pub(crate) fn tolerates(pod: &Pod, taint: &Taint) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref());
    tolerations
        .into_iter()
        .flatten()
        .any(|toleration| is_for(toleration, taint))
}

fn is_for(toleration: &Toleration, taint: &Taint) -> bool {
    let unset = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    let effect = unset(&toleration.effect) || toleration.effect.as_ref() == Some(&taint.effect);
    let key = unset(&toleration.key) || toleration.key.as_ref() == Some(&taint.key);
    let value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => {
            !unset(&toleration.key)
                && toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        Some(_) => false,
    };
    effect && key && value
}
