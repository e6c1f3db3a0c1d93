//! Creates the Node, or takes over the one that an earlier kubelet of this name left; and writes its status.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;

use super::facts::Facts;

/// What registering can come to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The API server refused, or can't be reached.
    #[error("{act}: {source}")]
    Refused { act: &'static str, source: kube::Error },
}

/// After this the Node is there, with our labels and this status.
pub(crate) async fn register(client: &Client, facts: &Facts, status: &NodeStatus) -> Result<(), RegisterError> {
    let api: Api<Node> = Api::all(client.clone());
    let refused = |act| move |source| RegisterError::Refused { act, source };
    let node = node(facts, status);
    match api.create(&PostParams::default(), &node).await {
        // An API server may leave out a status that is sent with a new object.
        Ok(created) if has_conditions(&created) => return Ok(()),
        Ok(_) => {}
        Err(kube::Error::Api(error)) if error.code == 409 => {
            let labels = json!({"metadata": {"labels": labels(facts)}});
            let patched = api
                .patch(&facts.name, &PatchParams::default(), &Patch::Merge(labels))
                .await;
            patched.map_err(refused("labelling the node"))?;
        }
        Err(error) => return Err(refused("creating the node")(error)),
    }
    write(client, &facts.name, status).await
}

/// Writes the status.
pub(crate) async fn write(client: &Client, name: &str, status: &NodeStatus) -> Result<(), RegisterError> {
    let api: Api<Node> = Api::all(client.clone());
    let patch = json!({"status": status});
    match api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(source) => Err(RegisterError::Refused {
            act: "writing the node's status",
            source,
        }),
    }
}

/// Tells of each deletion of this node.
pub(super) fn deleted(client: &Client, name: &str) -> BoxStream<'static, ()> {
    let api: Api<Node> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let events = watcher(api, config).default_backoff();
    events
        .filter_map(|event| std::future::ready(matches!(event, Ok(Event::Delete(_))).then_some(())))
        .boxed()
}

fn has_conditions(node: &Node) -> bool {
    node.status.as_ref().is_some_and(|status| {
        status
            .conditions
            .as_ref()
            .is_some_and(|conditions| !conditions.is_empty())
    })
}

fn node(facts: &Facts, status: &NodeStatus) -> Node {
    let cidr = Some(facts.pod_cidr.clone()).filter(|cidr| !cidr.is_empty());
    Node {
        metadata: ObjectMeta {
            name: Some(facts.name.clone()),
            labels: Some(labels(facts)),
            ..Default::default()
        },
        spec: Some(NodeSpec {
            pod_cidrs: cidr.clone().map(|cidr| vec![cidr]),
            pod_cidr: cidr,
            ..Default::default()
        }),
        status: Some(status.clone()),
    }
}

fn labels(facts: &Facts) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/hostname", facts.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", &facts.architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", &facts.architecture),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
