//! What happens, as containerd tells it: a topic and a small document, for any number of watchers.

use futures::{Stream, StreamExt};
use minik_api::containers::Event;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;

use crate::daemon::now_nanos;

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

    pub(super) fn watch(&self) -> impl Stream<Item = Result<Event, Status>> + Send + use<> {
        BroadcastStream::new(self.0.subscribe()).map(|event| match event {
            Ok(event) => Ok(event),
            Err(BroadcastStreamRecvError::Lagged(missed)) => Err(Status::data_loss(format!(
                "{missed} events came faster than they were read: watch again"
            ))),
        })
    }
}
