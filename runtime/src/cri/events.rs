//! GetContainerEvents: every change of a container or sandbox, as it comes, to whoever watches.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use minik_api::cri::{self, ContainerEventType};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;

use super::describe;
use crate::daemon::{Daemon, now_nanos};
use crate::state::{ContainerRecord, Entry, SandboxRecord};

/// How far a watcher may be behind. Then it is told so, and lists.
const BACKLOG: usize = 1024;

/// The news, for any number of watchers.
pub(crate) struct Events(broadcast::Sender<Arc<cri::ContainerEventResponse>>);

impl Events {
    pub(crate) fn new() -> Events {
        Events(broadcast::Sender::new(BACKLOG))
    }

    /// All that happens from now on.
    pub(crate) fn watch(&self) -> impl Stream<Item = Result<cri::ContainerEventResponse, Status>> + use<> {
        BroadcastStream::new(self.0.subscribe()).map(|event| match event {
            Ok(event) => Ok(cri::ContainerEventResponse::clone(&event)),
            Err(BroadcastStreamRecvError::Lagged(missed)) => Err(Status::data_loss(format!(
                "{missed} events came faster than they were read: list, and watch again"
            ))),
        })
    }
}

impl Daemon {
    /// Tells of a container's change, with the pod as it is now.
    pub(crate) fn container_event(&self, entry: &Entry<ContainerRecord>, kind: ContainerEventType) {
        let (id, sandbox_id) = entry.peek(|record| (record.id.clone(), record.sandbox_id.clone()));
        let sandbox = self.sandboxes.find(&sandbox_id).ok();
        self.tell(id, kind, sandbox.as_deref());
    }

    /// Tells of a sandbox's change; its id stands where a container's would.
    pub(crate) fn sandbox_event(&self, entry: &Entry<SandboxRecord>, kind: ContainerEventType) {
        self.tell(entry.peek(|record| record.id.clone()), kind, Some(entry));
    }

    fn tell(&self, id: String, kind: ContainerEventType, sandbox: Option<&Entry<SandboxRecord>>) {
        if self.events.0.receiver_count() == 0 {
            return;
        }
        let containers = sandbox.map(|sandbox| self.containers_of(&sandbox.peek(|record| record.id.clone())));
        let event = cri::ContainerEventResponse {
            container_id: id,
            container_event_type: kind.into(),
            created_at: now_nanos(),
            pod_sandbox_status: sandbox.map(|sandbox| sandbox.peek(describe::sandbox_status)),
            containers_statuses: containers
                .unwrap_or_default()
                .iter()
                .map(|entry| entry.peek(describe::container_status))
                .collect(),
        };
        // The last watcher may have left in this moment.
        let _ = self.events.0.send(Arc::new(event));
    }
}
