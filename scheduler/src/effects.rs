//! What the scheduler writes: bindings, the PodScheduled condition, and events. Everything here is a request to the API server.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use minik_api::trace::{self, Traceparent};
use serde_json::json;
use tokio::sync::Mutex;

use crate::NAME;
use crate::snapshot::PodKey;

/// The writing side of the scheduler.
pub(crate) struct Effects {
    client: Client,
    /// The last FailedScheduling event of each pod that waits: the same message again only counts up.
    said: Mutex<HashMap<PodKey, Said>>,
}

struct Said {
    event: String,
    message: String,
    count: i32,
}

impl Effects {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            said: Mutex::default(),
        }
    }

    /// Gives the pod its node; the pod's trace goes along.
    pub(crate) async fn bind(&self, pod: &Pod, node: &str) -> Result<(), kube::Error> {
        let key = PodKey::of(pod);
        let binding = Binding {
            // With the uid, a pod of the same name that came later is never bound by mistake.
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                uid: Some(key.uid.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Node".into()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let body = serde_json::to_vec(&binding).map_err(kube::Error::SerdeError)?;
        let path = format!("/api/v1/namespaces/{}/pods", key.namespace);
        let mut request = kube::core::Request::new(path)
            .create_subresource("binding", &key.name, &PostParams::default(), body)
            .map_err(kube::Error::BuildRequest)?;
        let parent = pod
            .annotations()
            .get(trace::ANNOTATION)
            .and_then(|text| text.parse::<Traceparent>().ok());
        let context = parent.map_or_else(Traceparent::new, Traceparent::child).to_string();
        if let Ok(value) = context.parse() {
            request.headers_mut().insert(trace::HEADER, value);
        }
        self.client.request::<Status>(request).await?;
        Ok(())
    }

    /// Says that the pod has its node.
    pub(crate) async fn say_scheduled(&self, pod: &Pod, node: &str) {
        self.said.lock().await.remove(&PodKey::of(pod));
        let message = format!(
            "Successfully assigned {}/{} to {node}",
            pod.namespace().unwrap_or_default(),
            pod.name_any()
        );
        self.post(event(pod, "Normal", "Scheduled", &message)).await;
    }

    /// Says why the pod has no node, in its status and as an event.
    pub(crate) async fn say_unschedulable(&self, pod: &Pod, message: &str) {
        self.write_condition(pod, "Unschedulable", message).await;
        let key = PodKey::of(pod);
        let mut said = self.said.lock().await;
        let Some(last) = said.get_mut(&key).filter(|last| last.message == message) else {
            let event = event(pod, "Warning", "FailedScheduling", message);
            let name = event.name_any();
            said.insert(
                key,
                Said {
                    event: name,
                    message: message.to_owned(),
                    count: 1,
                },
            );
            drop(said);
            self.post(event).await;
            return;
        };
        last.count += 1;
        let patch = json!({"count": last.count, "lastTimestamp": Time(Timestamp::now())});
        let events: Api<Event> = Api::namespaced(self.client.clone(), &key.namespace);
        if let Err(error) = events
            .patch(&last.event, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            tracing::debug!(%error, event = last.event, "counting an event up failed");
            said.remove(&key);
        }
    }

    /// Says that the pod's gates keep it from being looked at.
    pub(crate) async fn say_gated(&self, pod: &Pod) {
        self.write_condition(
            pod,
            "SchedulingGated",
            "Scheduling is blocked due to non-empty scheduling gates",
        )
        .await;
    }

    /// The pod is gone; what was said of it need not be remembered.
    pub(crate) async fn forget(&self, key: &PodKey) {
        self.said.lock().await.remove(key);
    }

    /// Writes PodScheduled=False, unless it says the same already.
    async fn write_condition(&self, pod: &Pod, reason: &str, message: &str) {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let old = conditions.clone().find(|condition| condition.type_ == "PodScheduled");
        if old.is_some_and(|old| old.reason.as_deref() == Some(reason) && old.message.as_deref() == Some(message)) {
            return;
        }
        let since = old
            .filter(|old| old.status == "False")
            .and_then(|old| old.last_transition_time.clone());
        let since = since.unwrap_or_else(|| Time(Timestamp::now()));
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message, "lastTransitionTime": since,
        }]}});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let written = pods
            .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        match written {
            Ok(_) => {}
            // Gone, or another pod of that name by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => tracing::warn!(pod = pod.name_any(), %error, "writing the PodScheduled condition failed"),
        }
    }

    async fn post(&self, event: Event) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &event.namespace().unwrap_or_default());
        if let Err(error) = events.create(&PostParams::default(), &event).await {
            tracing::warn!(event = event.name_any(), %error, "posting an event failed");
        }
    }
}

/// A new event about `pod`, named as upstream names them: the object and the time in hexadecimal.
fn event(pod: &Pod, type_: &str, reason: &str, message: &str) -> Event {
    let key = PodKey::of(pod);
    let now = Time(Timestamp::now());
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{nanos:x}", key.name)),
            namespace: Some(key.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: Some(key.name),
            namespace: Some(key.namespace),
            uid: Some(key.uid),
            resource_version: pod.resource_version(),
            ..ObjectReference::default()
        },
        type_: Some(type_.into()),
        reason: Some(reason.into()),
        message: Some(message.into()),
        count: Some(1),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        source: Some(EventSource {
            component: Some(NAME.into()),
            host: None,
        }),
        reporting_component: Some(NAME.into()),
        ..Event::default()
    }
}
