//! RunPodSandbox, StopPodSandbox, RemovePodSandbox, PodSandboxStatus, ListPodSandbox.

use std::sync::Arc;

use minik_api::cri::{self, ContainerEventType};
use serde_json::json;

use super::answer::Answer;
use super::{describe, filter, remove};
use crate::daemon::{Daemon, now_nanos};
use crate::sandbox::{self, RunRequest};

pub(super) async fn run(daemon: Arc<Daemon>, request: cri::RunPodSandboxRequest) -> Answer<cri::RunPodSandboxResponse> {
    let config = request.config.unwrap_or_default();
    let request = RunRequest {
        config,
        runtime_handler: request.runtime_handler,
    };
    let entry = sandbox::run(&daemon, request).await?;
    daemon.sandbox_event(&entry, ContainerEventType::ContainerCreatedEvent);
    daemon.sandbox_event(&entry, ContainerEventType::ContainerStartedEvent);
    Ok(cri::RunPodSandboxResponse {
        pod_sandbox_id: entry.peek(|record| record.id.clone()),
    })
}

/// Idempotent: one that isn't there is stopped.
pub(super) async fn stop(
    daemon: Arc<Daemon>,
    request: cri::StopPodSandboxRequest,
) -> Answer<cri::StopPodSandboxResponse> {
    if let Ok(entry) = daemon.sandboxes.find(&request.pod_sandbox_id) {
        sandbox::stop(&daemon, &entry).await?;
    }
    Ok(cri::StopPodSandboxResponse {})
}

/// Idempotent: one that isn't there is removed. Its containers go first.
pub(super) async fn remove(
    daemon: Arc<Daemon>,
    request: cri::RemovePodSandboxRequest,
) -> Answer<cri::RemovePodSandboxResponse> {
    if let Ok(entry) = daemon.sandboxes.find(&request.pod_sandbox_id) {
        sandbox::stop(&daemon, &entry).await?;
        for container in daemon.containers_of(&entry.peek(|record| record.id.clone())) {
            remove::container(&daemon, &container).await?;
        }
        sandbox::remove(&daemon, &entry).await?;
    }
    Ok(cri::RemovePodSandboxResponse {})
}

pub(super) fn status(daemon: &Daemon, request: &cri::PodSandboxStatusRequest) -> Answer<cri::PodSandboxStatusResponse> {
    let entry = daemon.sandboxes.find(&request.pod_sandbox_id)?;
    let record = entry.get();
    let containers = daemon.containers_of(&record.id);
    let info = json!({
        "runtimeSpec": daemon.sandbox_directory(&record.id).join("sandbox.json"),
        "phase": record.phase,
        "network": record.network,
        "cgroupParent": record.cgroup_parent,
    });
    Ok(cri::PodSandboxStatusResponse {
        status: Some(describe::sandbox_status(&record)),
        info: describe::info(request.verbose, info),
        containers_statuses: containers
            .iter()
            .map(|entry| entry.peek(describe::container_status))
            .collect(),
        timestamp: now_nanos(),
    })
}

pub(super) fn list(daemon: &Daemon, filter: Option<&cri::PodSandboxFilter>) -> Vec<cri::PodSandbox> {
    let all = daemon.sandboxes.all();
    let described = |record: &_| filter::sandbox(record, filter).then(|| describe::sandbox_item(record));
    all.iter().filter_map(|entry| entry.peek(described)).collect()
}
