//! What happens, as containerd tells it: a topic and a small document, for any number of watchers. What pods consist of is the
//! CRI's to tell, in other words; they are put into these.

use futures::{Stream, StreamExt};
use minik_api::containers::Event;
use minik_api::cri::{ContainerEventResponse, ContainerEventType};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;

use crate::daemon::{Daemon, now_nanos};
use crate::images::namespaces::CRI;

/// How far a watcher may be behind. Then it is told so.
const BACKLOG: usize = 1024;

/// The news.
pub(crate) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(super) fn new() -> Events {
        Events(broadcast::Sender::new(BACKLOG))
    }

    pub(crate) fn tell(&self, namespace: &str, topic: &str, body: Value) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let event = Event {
            timestamp: now_nanos(),
            namespace: namespace.to_owned(),
            topic: topic.to_owned(),
            body: body.to_string(),
        };
        // The last watcher may have left in this moment.
        let _ = self.0.send(event);
    }

    /// Also what happens to pods, which the CRI tells in its own words.
    pub(super) fn watch_all(daemon: &Daemon) -> impl Stream<Item = Result<Event, Status>> + Send + use<> {
        let pods = daemon.events.watch().map(|event| event.map(of_pod));
        futures::stream::select(daemon.ctr.events.watch(), pods)
    }

    fn watch(&self) -> impl Stream<Item = Result<Event, Status>> + Send + use<> {
        BroadcastStream::new(self.0.subscribe()).map(|event| match event {
            Ok(event) => Ok(event),
            Err(BroadcastStreamRecvError::Lagged(missed)) => Err(Status::data_loss(format!(
                "{missed} events came faster than they were read: watch again"
            ))),
        })
    }
}

/// Pure.
fn of_pod(event: ContainerEventResponse) -> Event {
    let (topic, key) = match event.container_event_type() {
        ContainerEventType::ContainerCreatedEvent => ("/containers/create", "id"),
        ContainerEventType::ContainerStartedEvent => ("/tasks/start", "container_id"),
        ContainerEventType::ContainerStoppedEvent => ("/tasks/exit", "container_id"),
        ContainerEventType::ContainerDeletedEvent => ("/containers/delete", "id"),
    };
    Event {
        timestamp: event.created_at,
        namespace: CRI.to_owned(),
        topic: topic.to_owned(),
        body: json!({key: event.container_id}).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_events_have_containerds_topics() {
        let event = ContainerEventResponse {
            container_id: "5a".to_owned(),
            container_event_type: ContainerEventType::ContainerStoppedEvent.into(),
            created_at: 7,
            ..ContainerEventResponse::default()
        };
        let told = of_pod(event);
        assert_eq!(
            (told.namespace.as_str(), told.topic.as_str(), told.timestamp),
            ("k8s.io", "/tasks/exit", 7)
        );
        assert_eq!(told.body, r#"{"container_id":"5a"}"#);
    }
}
