//! The pod's status as the API shows it: a pure function of what the runtime says and of what is remembered.
//!
//! Phases, conditions, reasons and messages are Kubernetes' own; where a message can name the cause, it does.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::Pod;
use super::decide::{self, Ending};
use super::memory::Memory;
use super::observed::Observed;
use crate::spec::qos;

mod conditions;
mod containers;
mod phase;
#[cfg(test)]
mod tests;

/// For so long a failed pull shows `ErrImagePull`; then, until the next attempt, `ImagePullBackOff`.
pub(crate) const FRESH_FAILURE: Duration = Duration::from_secs(3);

/// What is the same for all pods of this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    /// The node's addresses.
    pub(crate) ips: Vec<String>,
    /// `containerd`, `minik`: the first part of a container's id in the status.
    pub(crate) runtime_name: String,
}

/// Now, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For back-offs.
    pub(crate) instant: Instant,
    /// For people.
    pub(crate) wall: Timestamp,
}

/// The status for this moment.
pub(crate) fn status(pod: &Pod, observed: &Observed, memory: &Memory, host: &Host, now: Now) -> PodStatus {
    let ending = decide::ending(pod, observed, memory, now.instant);
    let view = containers::View {
        pod,
        observed,
        memory,
        host,
        now: now.instant,
        ending: ending.as_ref(),
    };
    let init_statuses = containers::statuses(&view, pod.init_containers());
    let statuses = containers::statuses(&view, pod.containers());
    let ephemeral_statuses = containers::statuses(&view, pod.ephemeral_containers());
    let phase = phase::phase(&view, &init_statuses, &statuses);
    let (reason, message) = reason(pod, memory, ending.as_ref(), phase);
    let ips = pod_ips(pod, observed, host);
    let conditions = conditions::conditions(&view, phase, &init_statuses, &statuses, now.wall);
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        init_container_statuses: (!init_statuses.is_empty()).then_some(init_statuses),
        container_statuses: Some(statuses),
        ephemeral_container_statuses: (!ephemeral_statuses.is_empty()).then_some(ephemeral_statuses),
        host_ip: host.ips.first().cloned(),
        host_ips: Some(host.ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        qos_class: Some(qos::class(&pod.spec).to_string()),
        start_time: pod.status.start_time.clone().or_else(|| memory.start_time.map(Time)),
        observed_generation: pod.metadata.generation,
        reason,
        message,
        ..Default::default()
    }
}

fn reason(pod: &Pod, memory: &Memory, ending: Option<&Ending>, phase: &str) -> (Option<String>, Option<String>) {
    if let (Some(Ending::DeadlineExceeded { .. }), "Failed") = (ending, phase) {
        let message = "Pod was active on the node longer than the specified deadline";
        return (Some("DeadlineExceeded".into()), Some(message.into()));
    }
    if pod.is_terminal() {
        return (pod.status.reason.clone(), pod.status.message.clone());
    }
    // What concerns the whole pod: its volumes and its sandbox.
    use super::action::Key;
    let failure = memory
        .failures
        .get(&Key::Volumes)
        .or_else(|| memory.failures.get(&Key::Sandbox));
    match failure {
        Some(failure) if phase == "Pending" => (Some(failure.reason.clone()), Some(failure.message.clone())),
        _ => (None, None),
    }
}

/// The newest sandbox's addresses; with the node's network the node's own. A pod that ended keeps those that it had.
fn pod_ips(pod: &Pod, observed: &Observed, host: &Host) -> Vec<String> {
    match observed.sandboxes.first() {
        Some(_) if pod.is_host_network() => host.ips.clone(),
        Some(sandbox) if !sandbox.ips.is_empty() => sandbox.ips.clone(),
        _ => pod.status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    }
}

/// The containers that have begun to wait for another attempt, and what is to be told about each.
pub(crate) fn new_back_offs(pod: &Pod, before: Option<&PodStatus>, now: &PodStatus) -> Vec<(String, String)> {
    let reasons = |status: &PodStatus| -> Vec<(String, String)> {
        let all = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten();
        let waiting = all.filter_map(|container| {
            let reason = container.state.as_ref()?.waiting.as_ref()?.reason.clone()?;
            Some((container.name.clone(), reason))
        });
        waiting.collect()
    };
    let before = before.map(reasons).unwrap_or_default();
    let fresh = reasons(now).into_iter().filter(|known| !before.contains(known));
    let told = fresh.filter_map(|(name, reason)| {
        let message = match reason.as_str() {
            "CrashLoopBackOff" => format!(
                "Back-off restarting failed container {name} in pod {}_{}({})",
                pod.name, pod.namespace, pod.uid
            ),
            "ImagePullBackOff" => {
                let image = pod.container(&name)?.image.clone().unwrap_or_default();
                format!("Back-off pulling image \"{image}\"")
            }
            _ => return None,
        };
        Some((name, message))
    });
    told.collect()
}

/// Conditions that other programs wrote: readiness gates, the scheduler's.
pub(crate) fn foreign_conditions(status: &PodStatus) -> Vec<k8s_openapi::api::core::v1::PodCondition> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .filter(|condition| !conditions::is_own(condition))
        .cloned()
        .collect()
}

/// Puts these in the place of those that were known.
pub(crate) fn replace_foreign_conditions(
    status: &mut PodStatus,
    foreign: Vec<k8s_openapi::api::core::v1::PodCondition>,
) {
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(conditions::is_own);
    conditions.extend(foreign);
}
