//! After a restart of the daemon, or of the machine: tasks whose shim lives are found again, what was between two states is
//! undone, and what no record speaks of any more is removed.

use std::sync::Arc;

use super::record::Task;
use super::{foreground, task};
use crate::daemon::Daemon;
use crate::shim::{Shim, ShimError};
use crate::state::Entry;

use super::CtrRecord;

pub(crate) async fn recover(daemon: &Arc<Daemon>) {
    for entry in daemon.ctr.records.all() {
        let record = entry.get();
        match record.task {
            Some(Task::Running { .. }) => {
                if let Err(error) = reconnect(daemon, &entry).await {
                    tracing::warn!(%error, container = %record.name, "a task's shim is gone");
                    task::gone(daemon, &entry);
                }
            }
            Some(Task::Starting) => {
                task::give_back(daemon, &record).await;
                let undone = entry.update(|record| {
                    record.task = None;
                    true
                });
                if let Err(error) = undone {
                    tracing::error!(%error, container = %record.name, "record that a start was undone");
                }
            }
            // Its shim may live still, and is told to end when the task is deleted.
            Some(Task::Stopped { .. }) | None => {}
        }
        if record.namespace == crate::build::NAMESPACE {
            // Whoever waited for it is gone.
            if let Err(status) = foreground::remove(daemon, &entry).await {
                tracing::warn!(container = %record.name, error = status.message(), "remove a step of a build");
            }
        }
    }
    remove_layers(daemon);
}

async fn reconnect(daemon: &Arc<Daemon>, entry: &Arc<Entry<CtrRecord>>) -> Result<(), ShimError> {
    let id = entry.peek(|record| record.id.clone());
    let shim = daemon.add_shim(&id, Shim::connect(&daemon.sandbox_directory(&id)).await?);
    let (states, events) = shim.events().await?;
    if let Some(exit) = states.into_iter().find_map(|state| state.exit) {
        task::ended(daemon, entry, exit.code);
    }
    tokio::spawn(task::follow(Arc::clone(daemon), Arc::clone(entry), events));
    Ok(())
}

/// A daemon that died between a writable layer and its record has left the layer. Those of clients' mounts have no record:
/// who mounted them lets them go.
fn remove_layers(daemon: &Daemon) {
    let snapshots = daemon.images.snapshots();
    let own: Vec<String> = daemon
        .ctr
        .records
        .all()
        .iter()
        .map(|entry| entry.peek(CtrRecord::snapshot_key))
        .collect();
    for key in snapshots.keys() {
        let mounted = key.contains(' ');
        let of_pod = daemon.containers.find(&key).is_ok();
        if !mounted && !of_pod && !own.contains(&key) {
            tracing::warn!(snapshot = %key, "remove a writable layer without a container");
            if let Err(error) = snapshots.remove(&key) {
                tracing::warn!(snapshot = %key, %error, "remove a writable layer");
            }
        }
    }
}

/// Ends all tasks: the instance goes. Containers and images stay.
pub(crate) async fn stop_all(daemon: &Arc<Daemon>) {
    for entry in daemon.ctr.records.all() {
        if let Err(status) = task::delete(daemon, &entry, true).await {
            let name = entry.peek(|record| record.name.clone());
            tracing::warn!(container = %name, error = status.message(), "end a task");
        }
    }
}
