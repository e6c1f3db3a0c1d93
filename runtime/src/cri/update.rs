//! UpdateContainerResources, UpdatePodSandboxResources: new limits for what runs.

use std::sync::Arc;

use minik_api::cri;
use tonic::{Code, Status};

use super::answer::{Answer, with_code};
use super::resources;
use crate::cgroup::CgroupPath;
use crate::daemon::Daemon;
use crate::oci::linux_resources;
use crate::state::ContainerPhase;

pub(super) async fn container(
    daemon: Arc<Daemon>,
    request: cri::UpdateContainerResourcesRequest,
) -> Answer<cri::UpdateContainerResourcesResponse> {
    let entry = daemon.containers.find(&request.container_id)?;
    let _turn = entry.operate().await;
    let record = entry.get();
    let update = request.linux.unwrap_or_default();
    match record.phase {
        ContainerPhase::Running { .. } => apply(&daemon, &record.cgroup, &update)?,
        ContainerPhase::Created => {
            let text = format!(
                "container {:?} isn't running: its limits are set when it is created",
                record.id
            );
            return Err(Status::failed_precondition(text));
        }
        ContainerPhase::Exited(_) => {
            return Err(Status::failed_precondition(format!(
                "container {:?} has ended: it has no limits",
                record.id
            )));
        }
    }
    let written = entry.update(|record| {
        let linux = record.config.linux.get_or_insert_default();
        linux.resources = Some(resources::updated(
            &linux.resources.clone().unwrap_or_default(),
            &update,
        ));
        record.config.annotations.extend(request.annotations);
        true
    });
    written.map_err(|error| with_code(Code::Unknown)(&error))?;
    Ok(cri::UpdateContainerResourcesResponse {})
}

pub(super) async fn sandbox(
    daemon: Arc<Daemon>,
    request: cri::UpdatePodSandboxResourcesRequest,
) -> Answer<cri::UpdatePodSandboxResourcesResponse> {
    let entry = daemon.sandboxes.find(&request.pod_sandbox_id)?;
    let _turn = entry.operate().await;
    let (Some(update), cgroup) = (request.resources, entry.peek(|record| record.cgroup_parent.clone())) else {
        return Ok(cri::UpdatePodSandboxResourcesResponse {});
    };
    apply(&daemon, &cgroup, &update)?;
    let written = entry.update(|record| {
        let linux = record.config.linux.get_or_insert_default();
        linux.resources = Some(resources::updated(
            &linux.resources.clone().unwrap_or_default(),
            &update,
        ));
        linux.overhead = request.overhead.or(linux.overhead.take());
        true
    });
    written.map_err(|error| with_code(Code::Unknown)(&error))?;
    Ok(cri::UpdatePodSandboxResourcesResponse {})
}

fn apply(daemon: &Daemon, cgroup: &std::path::Path, update: &cri::LinuxContainerResources) -> Answer<()> {
    let applied = CgroupPath::parse(cgroup).and_then(|path| daemon.cgroups.apply(&path, &linux_resources(update)));
    let notes = applied.map_err(|error| with_code(Code::Unknown)(&error))?;
    for note in notes {
        tracing::info!(cgroup = %cgroup.display(), note, "a limit has no effect on this host");
    }
    Ok(())
}
