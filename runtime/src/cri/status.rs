//! ContainerStatus, ListContainers, ReopenContainerLog.

use std::sync::Arc;

use minik_api::cri;
use serde_json::json;
use tonic::Status;

use super::answer::{Answer, shim_failed};
use super::{describe, filter, start};
use crate::daemon::Daemon;
use crate::state::ContainerPhase;

pub(super) fn status(daemon: &Daemon, request: &cri::ContainerStatusRequest) -> Answer<cri::ContainerStatusResponse> {
    let record = daemon.containers.find(&request.container_id)?.get();
    let pid = match record.phase {
        ContainerPhase::Running { pid, .. } => Some(pid),
        ContainerPhase::Created | ContainerPhase::Exited(_) => None,
    };
    let info = json!({
        "sandboxID": record.sandbox_id,
        "pid": pid,
        "bundle": daemon.bundle(&record.id),
        "cgroup": record.cgroup,
        "snapshotKey": record.id,
    });
    let status = Some(describe::container_status(&record));
    Ok(cri::ContainerStatusResponse {
        status,
        info: describe::info(request.verbose, info),
    })
}

pub(super) fn list(daemon: &Daemon, filter: Option<&cri::ContainerFilter>) -> Vec<cri::Container> {
    let all = daemon.containers.all();
    let described = |record: &_| filter::container(record, filter).then(|| describe::container_item(record));
    all.iter().filter_map(|entry| entry.peek(described)).collect()
}

/// The kubelet has renamed the log; the shim opens it anew.
pub(super) async fn reopen_log(
    daemon: Arc<Daemon>,
    request: cri::ReopenContainerLogRequest,
) -> Answer<cri::ReopenContainerLogResponse> {
    let record = daemon.containers.find(&request.container_id)?.get();
    if !record.phase.is_running() {
        return Err(Status::failed_precondition(format!(
            "container {:?} isn't running: its log is closed",
            record.id
        )));
    }
    let shim = start::shim(&daemon, &record.sandbox_id)?;
    let reopened = shim.reopen_log(&record.id).await;
    reopened.map_err(|error| shim_failed(&error, "reopen the log of container", &record.id))?;
    Ok(cri::ReopenContainerLogResponse {})
}
