//! Events: what happened to a pod, for `kubectl describe`.
//!
//! Recording never waits: a record goes into a queue, and one task posts it. The same event again raises the count of the
//! first instead of making another; what one pod says too often is dropped.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::debug;

use crate::pod::Pod;

/// Records that may wait to be posted.
const QUEUE: usize = 1000;
/// Events that one object may cause at once, and one more each interval after that, as in Kubernetes.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);
/// Messages longer than this are cut: the API server refuses them.
const MESSAGE_BYTES: usize = 1024;
/// Known events beyond this are forgotten; they would be counted anew.
const REMEMBERED: usize = 4096;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) object: ObjectReference,
    pub(crate) severity: Severity,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Where events are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(mpsc::Sender<Record>);

impl Recorder {
    /// A recorder, and the queue that [`post`] empties.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Record>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Something happened to a pod, or to one of its containers.
    pub(crate) fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let holds = |list: &[Container], name: &str| list.iter().any(|container| container.name == name);
        let field = container.map(|name| {
            let list = if holds(pod.init_containers(), name) {
                "initContainers"
            } else if holds(pod.ephemeral_containers(), name) {
                "ephemeralContainers"
            } else {
                "containers"
            };
            format!("spec.{list}{{{name}}}")
        });
        let object = ObjectReference {
            kind: Some("Pod".into()),
            api_version: Some("v1".into()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            resource_version: pod.metadata.resource_version.clone(),
            field_path: field,
        };
        self.record(object, severity, reason, message);
    }

    /// Something happened to the node.
    pub(crate) fn node(&self, name: &str, severity: Severity, reason: &'static str, message: String) {
        let object = ObjectReference {
            kind: Some("Node".into()),
            name: Some(name.to_owned()),
            uid: Some(name.to_owned()),
            ..Default::default()
        };
        self.record(object, severity, reason, message);
    }

    fn record(&self, object: ObjectReference, severity: Severity, reason: &'static str, mut message: String) {
        if message.len() > MESSAGE_BYTES {
            let end = (0..=MESSAGE_BYTES)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(end);
        }
        let record = Record {
            object,
            severity,
            reason,
            message,
        };
        if self.0.try_send(record).is_err() {
            debug!(reason, "an event was dropped: the queue is full");
        }
    }
}

/// What makes two records the same event.
type Identity = (String, String, Severity, &'static str, String);

/// What was posted of an event.
struct Known {
    name: String,
    count: i32,
}

/// Posts records until the last recorder is gone.
pub(crate) async fn post(client: Client, node: String, mut records: mpsc::Receiver<Record>) {
    let mut known: HashMap<Identity, Known> = HashMap::new();
    let mut budget = Budget::default();
    while let Some(record) = records.recv().await {
        let uid = record.object.uid.clone().unwrap_or_default();
        if !budget.allows(&uid, Instant::now()) {
            debug!(
                uid,
                reason = record.reason,
                "an event was dropped: this object has too many"
            );
            continue;
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let field = record.object.field_path.clone().unwrap_or_default();
        let identity = (uid, field, record.severity, record.reason, record.message.clone());
        let namespace = record.object.namespace.clone().unwrap_or_else(|| "default".into());
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let posted = match known.get(&identity) {
            Some(before) => again(&api, before).await,
            None => None,
        };
        let posted = match posted {
            Some(known) => Ok(known),
            None => first(&api, &node, &namespace, record).await,
        };
        match posted {
            Ok(now) => {
                known.insert(identity, now);
            }
            Err(error) => debug!(%error, "an event couldn't be posted"),
        }
    }
}

/// Raises the count of an event that was posted before; none if it is gone by now.
async fn again(api: &Api<Event>, before: &Known) -> Option<Known> {
    let count = before.count.saturating_add(1);
    let patch = json!({"count": count, "lastTimestamp": Time(now())});
    let patched = api
        .patch(&before.name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.ok().map(|_| Known {
        name: before.name.clone(),
        count,
    })
}

async fn first(api: &Api<Event>, node: &str, namespace: &str, record: Record) -> Result<Known, kube::Error> {
    let object = record.object.name.clone().unwrap_or_default();
    let name = format!("{object}.{:x}", Timestamp::now().as_nanosecond());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.to_owned()),
            ..Default::default()
        },
        involved_object: record.object,
        type_: Some(record.severity.as_str().to_owned()),
        reason: Some(record.reason.to_owned()),
        message: Some(record.message),
        count: Some(1),
        first_timestamp: Some(Time(now())),
        last_timestamp: Some(Time(now())),
        source: Some(EventSource {
            component: Some("kubelet".into()),
            host: Some(node.to_owned()),
        }),
        reporting_component: Some("kubelet".into()),
        reporting_instance: Some(node.to_owned()),
        ..Default::default()
    };
    api.create(&PostParams::default(), &event).await?;
    Ok(Known { name, count: 1 })
}

/// The API keeps whole seconds.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// How many events each object may still cause.
#[derive(Default)]
struct Budget(HashMap<String, (u32, Instant)>);

impl Budget {
    fn allows(&mut self, uid: &str, now: Instant) -> bool {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let (left, since) = self.0.entry(uid.to_owned()).or_insert((BURST, now));
        let refills = u32::try_from(now.duration_since(*since).as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if refills > 0 {
            *left = left.saturating_add(refills).min(BURST);
            *since = now;
        }
        let is_allowed = *left > 0;
        *left = left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_object_is_quietened_and_others_are_not() {
        let mut budget = Budget::default();
        let start = Instant::now();
        assert_eq!((0..40).filter(|_| budget.allows("a", start)).count(), 25);
        assert!(budget.allows("b", start));
        assert!(budget.allows("a", start + REFILL) && !budget.allows("a", start + REFILL));
    }
}
