//! StartContainer: the shim launches the bundle; what can't be launched is recorded as ended, with the reason.

use std::sync::Arc;

use minik_api::cri::{self, ContainerEventType};
use tonic::{Code, Status};

use super::answer::{Answer, shim_failed, with_code};
use crate::daemon::{Daemon, now_nanos};
use crate::shim::{Shim, ShimError};
use crate::state::{ContainerPhase, Exit};

pub(super) async fn start(
    daemon: Arc<Daemon>,
    request: cri::StartContainerRequest,
) -> Answer<cri::StartContainerResponse> {
    let entry = daemon.containers.find(&request.container_id)?;
    // The container's end, if it comes at once, waits for this turn to be over.
    let _turn = entry.operate().await;
    let record = entry.get();
    if record.phase != ContainerPhase::Created {
        let state = record.phase.state().as_str_name();
        let text = format!(
            "container {:?} is {state}: only one that was created and not started can start",
            record.id
        );
        return Err(Status::failed_precondition(text));
    }
    let shim = shim(&daemon, &record.sandbox_id)?;
    match shim.start(&record.id, &daemon.bundle(&record.id)).await {
        Ok(started) => {
            let phase = ContainerPhase::Running {
                pid: started.pid,
                started_at_nanos: started.started_at_nanos,
            };
            let written = entry.update(|record| {
                record.phase = phase;
                true
            });
            written.map_err(|error| with_code(Code::Unknown)(&error))?;
            daemon.container_event(&entry, ContainerEventType::ContainerStartedEvent);
            Ok(cri::StartContainerResponse {})
        }
        Err(error) => {
            record_failure(&daemon, &entry, &error);
            Err(shim_failed(&error, "start container", &record.id))
        }
    }
}

fn record_failure(daemon: &Daemon, entry: &crate::state::Entry<crate::state::ContainerRecord>, error: &ShimError) {
    let exit = Exit::start_error(crate::images::error::chain(error), now_nanos());
    if let Err(error) = entry.update(|record| record.exit(exit)) {
        tracing::error!(%error, "record a failed start");
    }
    daemon.container_event(entry, ContainerEventType::ContainerStoppedEvent);
}

/// The shim of a sandbox that is ready.
pub(super) fn shim(daemon: &Daemon, sandbox_id: &str) -> Answer<Arc<Shim>> {
    let no_shim = || {
        Status::failed_precondition(format!(
            "sandbox {sandbox_id:?} isn't ready: it was stopped, or its shim died"
        ))
    };
    daemon.shim(sandbox_id).ok_or_else(no_shim)
}
