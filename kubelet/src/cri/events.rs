//! Follows the runtime's container events, and looks at everything now and then in case one was lost.
//!
//! An event says only which pod to look at again: what is true is read from the runtime then, so an event that comes late or
//! twice does no harm. A runtime without events is looked at every second.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use tonic::Code;
use tracing::{debug, warn};

use super::{Runtime, labels};

/// How often all is looked at where events come.
const RELIST: Duration = Duration::from_secs(60);
/// How often where the runtime has none (containerd before 1.7), as upstream's.
const RELIST_WITHOUT_EVENTS: Duration = Duration::from_secs(1);
/// Between attempts to reach a runtime that is away.
const RECONNECT: Duration = Duration::from_millis(500);

/// What to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The pod with this uid.
    Pod(String),
    /// Every pod: the connection was new, or time has passed.
    All,
}

/// Tells `looks` until its receiver is gone.
pub(crate) async fn follow(runtime: Arc<dyn Runtime>, looks: Sender<Look>) {
    let mut known_down = false;
    loop {
        let pause = match runtime.container_events().await {
            Ok(mut events) => {
                if known_down {
                    debug!("the runtime is back");
                }
                known_down = false;
                // What happened before this stream began is told by nobody.
                if looks.send(Look::All).await.is_err() || !drain(&mut events, &looks).await {
                    return;
                }
                RECONNECT
            }
            Err(error) if error.code == Code::Unimplemented => {
                if !relist(&looks).await {
                    return;
                }
                continue;
            }
            Err(error) => {
                if !known_down {
                    warn!(%error, "the runtime's container events can't be followed; trying again");
                }
                known_down = true;
                RECONNECT
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Looks at all for a while, until it is worth asking whether another runtime listens there now; false when nobody listens.
async fn relist(looks: &Sender<Look>) -> bool {
    let until = tokio::time::Instant::now() + RELIST;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(RELIST_WITHOUT_EVENTS).await;
        if looks.send(Look::All).await.is_err() {
            return false;
        }
    }
    true
}

type Events = futures::stream::BoxStream<'static, Result<minik_api::cri::ContainerEventResponse, super::CallError>>;

/// Passes events on until the stream ends; false when nobody listens any more.
async fn drain(events: &mut Events, looks: &Sender<Look>) -> bool {
    let mut relist = tokio::time::interval(RELIST);
    relist.tick().await;
    loop {
        let look = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => look_for(event),
                Some(Err(error)) => {
                    debug!(%error, "the runtime's event stream broke");
                    return true;
                }
                None => return true,
            },
            _ = relist.tick() => Look::All,
        };
        if looks.send(look).await.is_err() {
            return false;
        }
    }
}

fn look_for(event: minik_api::cri::ContainerEventResponse) -> Look {
    let sandbox = event.pod_sandbox_status.unwrap_or_default();
    let uid = sandbox.labels.get(labels::POD_UID).cloned();
    let uid = uid.or_else(|| sandbox.metadata.map(|metadata| metadata.uid));
    match uid {
        Some(uid) if !uid.is_empty() => Look::Pod(uid),
        _ => Look::All,
    }
}
