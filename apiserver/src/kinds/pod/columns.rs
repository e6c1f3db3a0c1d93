//! What `kubectl get pods` shows: above all the one word that says how a pod is doing.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, duration};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    Column::text(
        "Ready",
        "The aggregate readiness state of this pod for accepting traffic.",
    ),
    Column::text("Status", "The aggregate status of the containers in this pod."),
    Column::text(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    AGE,
    Column::text("IP", "The address that the pod has inside the cluster.").wide(),
    Column::text("Node", "The node that the pod is bound to.").wide(),
    Column::text(
        "Nominated Node",
        "The node that the pod waits for while others are preempted there.",
    )
    .wide(),
    Column::text("Readiness Gates", "How many of the pod's readiness gates are open.").wide(),
];

/// One cell for each column.
pub(super) fn cells(metadata: &ObjectMeta, spec: &PodSpec, status: &PodStatus, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(spec, status);
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let ip = status.pod_ips.iter().flatten().next().map(|ip| ip.ip.clone());
    vec![
        metadata.name.clone().into(),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.word(metadata, status).into(),
        summary.restarts(now).into(),
        duration::since_or_unknown(created, now).into(),
        or_none(ip).into(),
        or_none(spec.node_name.clone()).into(),
        or_none(status.nominated_node_name.clone()).into(),
        readiness_gates(spec, status).into(),
    ]
}

fn or_none(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "<none>".to_owned())
}

/// What the statuses of the containers come to.
struct Summary {
    total: usize,
    ready: usize,
    restarts: i32,
    last_restart: Option<Timestamp>,
    word: String,
}

impl Summary {
    fn of(spec: &PodSpec, status: &PodStatus) -> Self {
        let sidecars = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|init| is_sidecar(spec, &init.name))
            .count();
        let mut summary = Self {
            total: spec.containers.len() + sidecars,
            ready: 0,
            restarts: 0,
            last_restart: None,
            word: first_word(status),
        };
        let initializing = summary.init_containers(spec, status);
        if !initializing || has_condition(status, "Initialized") {
            summary.containers(spec, status);
        }
        summary
    }

    /// Whether one of them isn't through yet; the word tells which.
    fn init_containers(&mut self, spec: &PodSpec, status: &PodStatus) -> bool {
        for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
            self.count_restarts(container);
            let state = container.state.clone().unwrap_or_default();
            let waiting = state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
            match state.terminated {
                Some(ended) if ended.exit_code == 0 => continue,
                _ if is_sidecar(spec, &container.name) && container.started == Some(true) => {
                    self.ready += usize::from(container.ready);
                    continue;
                }
                Some(ended) => self.word = format!("Init:{}", how_it_ended(&ended)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => self.word = format!("Init:{waiting}"),
                None => {
                    let all = spec.init_containers.as_ref().map_or(0, Vec::len);
                    self.word = format!("Init:{index}/{all}");
                }
            }
            return true;
        }
        false
    }

    /// Once the containers proper run, restarts of init containers no longer count, but for sidecars.
    fn containers(&mut self, spec: &PodSpec, status: &PodStatus) {
        (self.restarts, self.last_restart) = (0, None);
        let sidecars = status.init_container_statuses.iter().flatten();
        sidecars
            .filter(|container| is_sidecar(spec, &container.name))
            .for_each(|container| self.count_restarts(container));
        let mut running = false;
        for container in status.container_statuses.iter().flatten().rev() {
            self.count_restarts(container);
            let state = container.state.clone().unwrap_or_default();
            let waiting = state
                .waiting
                .and_then(|waiting| waiting.reason)
                .filter(|reason| !reason.is_empty());
            if let Some(reason) = waiting {
                self.word = reason;
            } else if let Some(ended) = state.terminated {
                self.word = how_it_ended(&ended);
            } else if container.ready && state.running.is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.word == "Completed" && running {
            let word = if has_condition(status, "Ready") {
                "Running"
            } else {
                "NotReady"
            };
            word.clone_into(&mut self.word);
        }
    }

    fn count_restarts(&mut self, container: &ContainerStatus) {
        self.restarts = self.restarts.saturating_add(container.restart_count);
        let ended = container
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let finished = ended.and_then(|ended| ended.finished_at.as_ref()).map(|time| time.0);
        self.last_restart = self.last_restart.max(finished);
    }

    /// A pod that is being deleted says so, whatever its containers do.
    fn word(&self, metadata: &ObjectMeta, status: &PodStatus) -> String {
        let deleted = metadata.deletion_timestamp.is_some();
        let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if deleted && status.reason.as_deref() == Some("NodeLost") {
            "Unknown".to_owned()
        } else if deleted && !over {
            "Terminating".to_owned()
        } else {
            self.word.clone()
        }
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts != 0 => format!("{} ({} ago)", self.restarts, duration::since(last, now)),
            _ => self.restarts.to_string(),
        }
    }
}

/// What the pod itself says, before its containers are asked.
fn first_word(status: &PodStatus) -> String {
    const GATED: &str = "SchedulingGated";
    let conditions = || status.conditions.iter().flatten();
    if conditions().any(|condition| condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some(GATED)) {
        return GATED.to_owned();
    }
    let reason = status.reason.clone().filter(|reason| !reason.is_empty());
    reason.or_else(|| status.phase.clone()).unwrap_or_default()
}

fn how_it_ended(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref().unwrap_or_default(), ended.signal.unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(spec: &PodSpec, name: &str) -> bool {
    let mut init = spec.init_containers.iter().flatten();
    init.any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

fn readiness_gates(spec: &PodSpec, status: &PodStatus) -> String {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates
        .iter()
        .filter(|gate| has_condition(status, &gate.condition_type))
        .count();
    format!("{open}/{}", gates.len())
}

#[cfg(test)]
mod tests;
