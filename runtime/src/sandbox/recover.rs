//! After a restart of the daemon, or of the machine: records and what really runs are brought together.

use std::sync::Arc;

use super::{SandboxError, follow, stop};
use crate::daemon::Daemon;
use crate::shim::{ContainerState, Shim, ShimError};
use crate::state::{ContainerPhase, Entry, SandboxPhase, SandboxRecord};

/// Marks all recorded addresses as taken, finds the shims again, and undoes what was between two states.
pub(crate) async fn recover(daemon: &Arc<Daemon>) -> Result<(), SandboxError> {
    let sandboxes = daemon.sandboxes.all();
    for entry in &sandboxes {
        let held = entry
            .peek(|record| (record.phase != SandboxPhase::Stopped).then(|| record.network.clone()))
            .flatten();
        if let Some(network) = held {
            daemon.network.reserve(network.address);
        }
    }
    for entry in sandboxes {
        match entry.peek(|record| record.phase) {
            SandboxPhase::Starting => stop::discard(daemon, &entry).await?,
            SandboxPhase::Ready => {
                if let Err(error) = reconnect(daemon, &entry).await {
                    tracing::warn!(%error, "a sandbox's shim is gone");
                    follow::gone(daemon, &entry).await;
                }
            }
            SandboxPhase::Lost | SandboxPhase::Stopped => follow::gone(daemon, &entry).await,
        }
    }
    Ok(())
}

async fn reconnect(daemon: &Arc<Daemon>, entry: &Arc<Entry<SandboxRecord>>) -> Result<(), ShimError> {
    let id = entry.peek(|record| record.id.clone());
    let shim = daemon.add_shim(&id, Shim::connect(&daemon.sandbox_directory(&id)).await?);
    for state in follow::follow(daemon, &shim, entry).await? {
        catch_up(daemon, state).await;
    }
    Ok(())
}

/// Brings one container's record to where its process is.
async fn catch_up(daemon: &Daemon, state: ContainerState) {
    let Ok(entry) = daemon.containers.find(&state.id) else {
        return;
    };
    let running = ContainerPhase::Running {
        pid: state.pid,
        started_at_nanos: state.started_at_nanos,
    };
    // Started, but the daemon died before it wrote that down.
    let started = entry.update(|record| {
        let unknown = record.phase == ContainerPhase::Created;
        if unknown {
            record.phase = running;
        }
        unknown
    });
    if let Err(error) = started {
        tracing::error!(error = %crate::images::error::chain(&error), container = %state.id, "record a start");
    }
    if let Some(exit) = state.exit {
        follow::ended(daemon, &state.id, &exit).await;
    }
}
