//! RemoveContainer: its writable layer, its bundle and its record; the log stays, it is the kubelet's.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use minik_api::cri::{self, ContainerEventType};
use tonic::{Code, Status};

use super::answer::{Answer, with_code};
use super::stop::stop_entry;
use crate::daemon::Daemon;
use crate::state::{ContainerRecord, Entry};

/// Between a container's id and the number of a mount, in the name of the snapshot that holds a volume's image.
pub(super) const VOLUME: &str = "-volume-";

/// Idempotent: one that isn't there is removed. One that runs is killed first.
pub(super) async fn remove(
    daemon: Arc<Daemon>,
    request: cri::RemoveContainerRequest,
) -> Answer<cri::RemoveContainerResponse> {
    if let Ok(entry) = daemon.containers.find(&request.container_id) {
        container(&daemon, &entry).await?;
    }
    Ok(cri::RemoveContainerResponse {})
}

pub(super) async fn container(daemon: &Arc<Daemon>, entry: &Arc<Entry<ContainerRecord>>) -> Answer<()> {
    stop_entry(daemon, entry, Duration::ZERO).await?;
    let _turn = entry.operate().await;
    let record = entry.get();
    if let Some(shim) = daemon.shim(&record.sandbox_id) {
        // A shim that doesn't know the container has nothing to forget.
        let _ = shim.forget(&record.id).await;
    }
    let work = {
        let (daemon, id) = (Arc::clone(daemon), record.id.clone());
        // A writable layer may hold a hundred thousand files.
        tokio::task::spawn_blocking(move || remove_files(&daemon, &id))
    };
    work.await.map_err(|error| Status::internal(error.to_string()))??;
    daemon
        .containers
        .remove(&record.id)
        .map_err(|error| with_code(Code::Unknown)(&error))?;
    daemon.container_event(entry, ContainerEventType::ContainerDeletedEvent);
    Ok(())
}

/// The files of a container whose record is going, or is unreadable.
pub(crate) fn remove_files(daemon: &Daemon, id: &str) -> Answer<()> {
    let bundle = daemon.bundle(id);
    match fs::remove_dir_all(&bundle) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Status::unknown(format!(
                "remove the bundle {}: {error}",
                bundle.display()
            )));
        }
        _ => {}
    }
    let snapshots = daemon.images.snapshots();
    let volumes = format!("{id}{VOLUME}");
    let own = |key: &String| key == id || key.starts_with(&volumes);
    for key in snapshots.keys().iter().filter(|key| own(key)) {
        snapshots
            .remove(key)
            .map_err(|error| with_code(Code::Unknown)(&error))?;
    }
    Ok(())
}
