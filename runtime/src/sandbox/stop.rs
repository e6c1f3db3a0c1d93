//! Stopping and removing sandboxes. Every step can be done again: a stop that was cut off is simply repeated.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minik_api::cri::ContainerEventType;
use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::SandboxError;
use crate::cgroup::CgroupPath;
use crate::daemon::Daemon;
use crate::launch::rootfs_mount;
use crate::network::Network;
use crate::shim;
use crate::state::{Entry, SandboxPhase, SandboxRecord};

/// A killed process ends at once, unless the kernel holds it in a call that can't be interrupted.
const KILL_PATIENCE: Duration = Duration::from_secs(60);

/// Ends all of a sandbox's containers at once, and gives back what it holds: network, namespaces, ports. The record stays.
pub(crate) async fn stop(daemon: &Arc<Daemon>, entry: &Arc<Entry<SandboxRecord>>) -> Result<(), SandboxError> {
    let _turn = entry.operate().await;
    if entry.peek(|record| record.phase == SandboxPhase::Stopped) {
        return Ok(());
    }
    tear_down(daemon, entry).await?;
    entry.update(|record| {
        record.phase = SandboxPhase::Stopped;
        true
    })?;
    daemon.sandbox_event(entry, ContainerEventType::ContainerStoppedEvent);
    Ok(())
}

/// Removes a sandbox with its containers' records; one that still runs is stopped first.
pub(crate) async fn remove(daemon: &Arc<Daemon>, entry: &Arc<Entry<SandboxRecord>>) -> Result<(), SandboxError> {
    stop(daemon, entry).await?;
    let _turn = entry.operate().await;
    let id = entry.peek(|record| record.id.clone());
    daemon.sandboxes.remove(&id)?;
    daemon.sandbox_event(entry, ContainerEventType::ContainerDeletedEvent);
    Ok(())
}

/// Undoes a sandbox that never became ready.
pub(super) async fn discard(daemon: &Arc<Daemon>, entry: &Arc<Entry<SandboxRecord>>) -> Result<(), SandboxError> {
    tear_down(daemon, entry).await?;
    let id = entry.peek(|record| record.id.clone());
    Ok(daemon.sandboxes.remove(&id)?)
}

async fn tear_down(daemon: &Arc<Daemon>, entry: &Entry<SandboxRecord>) -> Result<(), SandboxError> {
    let record = entry.get();
    let id = record.id.clone();
    kill_containers(daemon, &id).await?;
    let directory = daemon.sandbox_directory(&id);
    if let Some(network) = record.network {
        let interface = network.interface;
        let detached = tokio::task::spawn_blocking(move || Network::detach(&interface)).await;
        detached
            .expect("netlink calls don't panic")
            .map_err(|source| SandboxError::Network { id: id.clone(), source })?;
        daemon.network.release(network.address);
    }
    if let Some(shim) = daemon.drop_shim(&id) {
        // It may be gone already; what it holds goes with it either way.
        let _ = shim.shutdown().await;
    } else if let Ok(shim) = shim::Shim::connect(&directory).await {
        let _ = shim.shutdown().await;
    }
    for container in daemon.containers_of(&id) {
        let container = container.peek(|record| record.id.clone());
        // Nothing is left, unless the shim was killed.
        rootfs_mount::unmount(&daemon.bundle(&container));
        daemon.handlers.forget(&record.runtime_handler, &container);
    }
    remove_directory(&directory).map_err(|source| SandboxError::Directory {
        path: directory,
        source,
    })?;
    match CgroupPath::parse(&record.cgroup_parent).and_then(|path| daemon.cgroups.remove(&path)) {
        Ok(()) => {}
        // The kubelet's cgroup may have others' processes in it; it isn't ours to insist.
        Err(error) => tracing::debug!(%error, sandbox = %id, "leave the pod's cgroup"),
    }
    Ok(())
}

async fn kill_containers(daemon: &Arc<Daemon>, id: &str) -> Result<(), SandboxError> {
    let containers = daemon.containers_of(id);
    let Some(shim) = daemon.shim(id) else {
        return Ok(());
    };
    let mut running = Vec::new();
    for entry in containers {
        let _turn = entry.operate().await;
        if entry.peek(|record| record.phase.is_running()) {
            let container = entry.peek(|record| record.id.clone());
            // It may have ended in this moment.
            let _ = shim.kill(&container, Signal::SIGKILL as i32, true).await;
            running.push((container, Arc::clone(&entry)));
        }
    }
    for (container, entry) in running {
        let ended = entry.wait_for(|record| !record.phase.is_running());
        let unkillable = |_| SandboxError::Unkillable {
            id: id.to_owned(),
            container,
        };
        timeout(KILL_PATIENCE, ended).await.map_err(unkillable)?;
    }
    Ok(())
}

/// Removes the sandbox's directory, with the mounts that hold its namespaces.
pub(crate) fn remove_directory(directory: &Path) -> io::Result<()> {
    shim::clean(directory);
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
