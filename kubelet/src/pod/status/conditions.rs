//! The conditions: what a pod has come through, each with the time when it last changed.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::containers::View;
use crate::pod::decide;
use crate::pod::is_sidecar;

/// The conditions that the kubelet owns. `PodScheduled` is the scheduler's, and only filled in where it is missing.
const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// A condition before it has a time: type, whether it holds, and if not, why.
struct Finding {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

pub(super) fn conditions(
    view: &View<'_>,
    phase: &str,
    inits: &[ContainerStatus],
    statuses: &[ContainerStatus],
    now: Timestamp,
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(view, phase, inits, statuses);
    let ready = ready(view, &containers_ready);
    let own = [sandbox(view), initialized(view, phase, inits), ready, containers_ready];
    let mut conditions: Vec<_> = own.into_iter().map(|finding| dated(view, finding, now)).collect();
    conditions.extend(super::foreign_conditions(&view.pod.status));
    if !conditions.iter().any(|condition| condition.type_ == "PodScheduled") {
        conditions.push(dated(view, holding("PodScheduled"), now));
    }
    conditions
}

/// Whether it is the kubelet's.
pub(super) fn is_own(condition: &PodCondition) -> bool {
    OWN.contains(&condition.type_.as_str())
}

fn holding(kind: &'static str) -> Finding {
    Finding {
        kind,
        holds: true,
        reason: None,
        message: None,
    }
}

fn sandbox(view: &View<'_>) -> Finding {
    let sandbox = view.observed.sandbox();
    let holds = sandbox.is_some_and(|sandbox| view.pod.is_host_network() || !sandbox.ips.is_empty());
    Finding {
        holds,
        ..holding("PodReadyToStartContainers")
    }
}

fn initialized(view: &View<'_>, phase: &str, inits: &[ContainerStatus]) -> Finding {
    let completed = (phase == "Succeeded").then_some("PodCompleted");
    let holds = inits.is_empty()
        || completed.is_some()
        || decide::is_initialized(view.pod, view.observed, view.memory)
        || view
            .pod
            .containers()
            .iter()
            .any(|container| view.observed.latest(&container.name).is_some());
    if holds {
        return Finding {
            reason: completed,
            ..holding("Initialized")
        };
    }
    let incomplete = inits
        .iter()
        .filter(|status| !(status.ready || status.started == Some(true)));
    let names: Vec<&str> = incomplete.map(|status| status.name.as_str()).collect();
    Finding {
        kind: "Initialized",
        holds: false,
        reason: Some("ContainersNotInitialized"),
        message: Some(format!("containers with incomplete status: [{}]", names.join(" "))),
    }
}

fn containers_ready(view: &View<'_>, phase: &str, inits: &[ContainerStatus], statuses: &[ContainerStatus]) -> Finding {
    let over = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    if over.is_some() {
        return Finding {
            kind: "ContainersReady",
            holds: false,
            reason: over,
            message: None,
        };
    }
    let is_sidecar = |status: &&ContainerStatus| view.pod.container(&status.name).is_some_and(is_sidecar);
    let counted = inits.iter().filter(is_sidecar).chain(statuses);
    let unready: Vec<&str> = counted
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return holding("ContainersReady");
    }
    Finding {
        kind: "ContainersReady",
        holds: false,
        reason: Some("ContainersNotReady"),
        message: Some(format!("containers with unready status: [{}]", unready.join(" "))),
    }
}

/// All containers are ready, and whatever else the pod asks to wait for.
fn ready(view: &View<'_>, containers: &Finding) -> Finding {
    if !containers.holds {
        return Finding {
            kind: "Ready",
            holds: false,
            reason: containers.reason,
            message: containers.message.clone(),
        };
    }
    let holds = |kind: &str| {
        let known = view
            .pod
            .status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind);
        known.is_some_and(|condition| condition.status == "True")
    };
    let gates = view
        .pod
        .spec
        .readiness_gates
        .iter()
        .flatten()
        .map(|gate| gate.condition_type.as_str());
    let missing: Vec<&str> = gates.filter(|gate| !holds(gate)).collect();
    if missing.is_empty() {
        return holding("Ready");
    }
    Finding {
        kind: "Ready",
        holds: false,
        reason: Some("ReadinessGatesNotReady"),
        message: Some(format!(
            "corresponding conditions of pod readiness gates {missing:?} are not True"
        )),
    }
}

/// Keeps the time of the last change if nothing changed.
fn dated(view: &View<'_>, finding: Finding, now: Timestamp) -> PodCondition {
    let status = if finding.holds { "True" } else { "False" };
    let known = view
        .pod
        .status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == finding.kind);
    let since = known
        .filter(|known| known.status == status)
        .and_then(|known| known.last_transition_time.clone());
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    PodCondition {
        type_: finding.kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: since.or(Some(Time(now))),
        reason: finding.reason.map(str::to_owned),
        message: finding.message,
        observed_generation: view.pod.metadata.generation,
        ..Default::default()
    }
}
