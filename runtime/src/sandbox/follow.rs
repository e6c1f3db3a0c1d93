//! One task a sandbox: what the shim tells becomes the records' next state and an event for the kubelet.

use std::sync::Arc;

use minik_api::cri::ContainerEventType;

use crate::cgroup::CgroupPath;
use crate::daemon::{Daemon, now_nanos};
use crate::shim::{ContainerState, Events, Exit as ShimExit, Shim, ShimError, ShimEvent};
use crate::state::{ContainerPhase, ContainerRecord, Entry, Exit, SandboxPhase, SandboxRecord};

const SHIM_GONE: &str = "the pod's shim is gone, and its containers with it; how this one ended is unknown";

/// Subscribes to a shim, and follows it in the background until it is gone. Returns what ran at that moment.
pub(super) async fn follow(
    daemon: &Arc<Daemon>,
    shim: &Shim,
    sandbox: &Arc<Entry<SandboxRecord>>,
) -> Result<Vec<ContainerState>, ShimError> {
    let (states, events) = shim.events().await?;
    tokio::spawn(run(Arc::clone(daemon), events, Arc::clone(sandbox)));
    Ok(states)
}

async fn run(daemon: Arc<Daemon>, mut events: Events, sandbox: Arc<Entry<SandboxRecord>>) {
    loop {
        match events.next().await {
            // StartContainer hears of it in its answer.
            Some(ShimEvent::Started { .. }) => {}
            Some(ShimEvent::Exited { container_id, exit }) => ended(&daemon, &container_id, &exit).await,
            Some(ShimEvent::Gone) | None => return gone(&daemon, &sandbox).await,
        }
    }
}

/// Records a container's end. Waits for its turn: a start that is under way is told first.
pub(super) async fn ended(daemon: &Daemon, container_id: &str, exit: &ShimExit) {
    let Ok(entry) = daemon.containers.find(container_id) else {
        return;
    };
    let _turn = entry.operate().await;
    let started_at = entry.peek(|record| record.phase.started_at_nanos());
    let exit = Exit::ended(exit.code, exit.oom_killed, started_at, exit.finished_at_nanos);
    record_exit(daemon, &entry, exit);
}

/// Records an end and tells the kubelet, unless it is known already.
pub(super) fn record_exit(daemon: &Daemon, entry: &Entry<ContainerRecord>, exit: Exit) {
    match entry.update(|record| record.exit(exit)) {
        Ok(false) => {}
        Ok(true) => daemon.container_event(entry, ContainerEventType::ContainerStoppedEvent),
        Err(error) => {
            // Memory has it; after a restart the bundle's exit.json tells it again.
            tracing::error!(error = %crate::images::error::chain(&error), "record a container's end");
            daemon.container_event(entry, ContainerEventType::ContainerStoppedEvent);
        }
    }
}

/// The shim is gone: on purpose if the sandbox was stopped, else its containers died with it.
pub(super) async fn gone(daemon: &Daemon, sandbox: &Entry<SandboxRecord>) {
    let id = sandbox.peek(|record| record.id.clone());
    daemon.drop_shim(&id);
    for entry in daemon.containers_of(&id) {
        let _turn = entry.operate().await;
        let ContainerPhase::Running { started_at_nanos, .. } = entry.peek(|record| record.phase.clone()) else {
            continue;
        };
        // Those that an OCI runtime of others has launched don't die with the shim.
        let cgroup = entry.peek(|record| record.cgroup.clone());
        if let Err(error) = CgroupPath::parse(&cgroup).and_then(|path| daemon.cgroups.kill(&path)) {
            tracing::debug!(%error, "kill what a shim has left");
        }
        let bundle = daemon.bundle(&entry.peek(|record| record.id.clone()));
        let exit = match ShimExit::read(&bundle) {
            Ok(Some(exit)) => Exit::ended(exit.code, exit.oom_killed, started_at_nanos, exit.finished_at_nanos),
            Ok(None) | Err(_) => Exit::unseen(SHIM_GONE, started_at_nanos, now_nanos()),
        };
        record_exit(daemon, &entry, exit);
    }
    let lost = sandbox.update(|record| {
        let lost = record.phase == SandboxPhase::Ready;
        if lost {
            record.phase = SandboxPhase::Lost;
        }
        lost
    });
    match lost {
        Ok(false) => {}
        Ok(true) => {
            tracing::warn!(sandbox = %id, "a shim is gone without being told to");
            daemon.sandbox_event(sandbox, ContainerEventType::ContainerStoppedEvent);
        }
        Err(error) => {
            tracing::error!(error = %crate::images::error::chain(&error), sandbox = %id, "record a lost sandbox")
        }
    }
}
