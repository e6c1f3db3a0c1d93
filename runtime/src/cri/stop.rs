//! StopContainer: asks the process to end, waits, and kills it when the time is up. Nothing is polled: the shim's news of the
//! end is what is waited for.

use std::sync::Arc;
use std::time::Duration;

use minik_api::cri;
use nix::sys::signal::Signal;
use tokio::time::timeout;
use tonic::Status;

use super::answer::Answer;
use crate::daemon::Daemon;
use crate::shim::Shim;
use crate::state::{ContainerRecord, Entry};

/// A killed process ends at once, unless the kernel holds it in a call that can't be interrupted.
const KILL_PATIENCE: Duration = Duration::from_secs(60);

/// Idempotent: one that isn't there, or doesn't run, is stopped.
pub(super) async fn stop(
    daemon: Arc<Daemon>,
    request: cri::StopContainerRequest,
) -> Answer<cri::StopContainerResponse> {
    if let Ok(entry) = daemon.containers.find(&request.container_id) {
        let grace = Duration::from_secs(request.timeout.try_into().unwrap_or_default());
        stop_entry(&daemon, &entry, grace).await?;
    }
    Ok(cri::StopContainerResponse {})
}

/// Ends a container, by its stop signal if there is time for it.
pub(super) async fn stop_entry(daemon: &Daemon, entry: &Entry<ContainerRecord>, grace: Duration) -> Answer<()> {
    let record = entry.get();
    if !record.phase.is_running() {
        return Ok(());
    }
    // Without a shim there is no process either, and its end is being recorded.
    let shim = daemon.shim(&record.sandbox_id);
    if !grace.is_zero() {
        send(shim.as_deref(), &record.id, record.stop_signal, false).await;
        if timeout(grace, ended(entry)).await.is_ok() {
            return Ok(());
        }
    }
    send(shim.as_deref(), &record.id, Signal::SIGKILL as i32, true).await;
    timeout(KILL_PATIENCE, ended(entry)).await.map_err(|_| {
        Status::deadline_exceeded(format!(
            "container {:?} doesn't end after SIGKILL: its processes wait in the kernel, for a disk or a network file system",
            record.id
        ))
    })
}

async fn send(shim: Option<&Shim>, id: &str, signal: i32, all: bool) {
    if let Some(shim) = shim
        && let Err(error) = shim.kill(id, signal, all).await
    {
        // It ended in this moment, most likely; if not, the wait tells.
        tracing::debug!(%error, container = id, signal, "signal a container");
    }
}

async fn ended(entry: &Entry<ContainerRecord>) {
    entry.wait_for(|record| !record.phase.is_running()).await;
}
