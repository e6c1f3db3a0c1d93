//! A node writes only itself, its lease and the pods that are bound to it (upstream's NodeRestriction). What it may read is the
//! authorizer's.

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::{Attributes, Operation, Validate};
use crate::auth::authorize::node::node_of;
use crate::registry::resource;
use crate::storage::Key;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels with this prefix tell nodes apart for security's sake; nodes don't set them on themselves.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// The plugin.
pub(super) struct NodeRestriction;

impl Validate for NodeRestriction {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(node) = attributes.user.node() else {
            return Ok(());
        };
        let kind = attributes.kind;
        let why = match (kind.group, kind.kind) {
            ("", "Pod") => pod(attributes, node, object),
            ("", "Node") => own_node(attributes, node, object),
            ("coordination.k8s.io", "Lease") | ("storage.k8s.io", "CSINode") => {
                let is_own = attributes.name == node;
                (!is_own).then(|| {
                    format!(
                        "can only access {} with the same name as the requesting node",
                        kind.kind
                    )
                })
            }
            _ => None,
        };
        match why {
            Some(why) => Err(Status::forbidden(kind, attributes.name, &why)),
            None => Ok(()),
        }
    }
}

fn pod(attributes: &Attributes<'_>, node: &str, object: Option<&Object>) -> Option<String> {
    match (attributes.operation, object) {
        (Operation::Create, Some(pod)) => new_pod(node, pod),
        (Operation::Update, Some(pod)) => {
            let old = attributes.old?;
            if node_of(old) != node {
                Some(format!(
                    "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
                ))
            } else if pod.metadata.labels != old.metadata.labels {
                Some(format!("node {node:?} cannot update labels through pod status"))
            } else {
                None
            }
        }
        (Operation::Delete, _) => {
            let key = Key::new(&resource(attributes.kind), attributes.namespace, attributes.name);
            let is_own = attributes
                .store
                .get(&key)
                .is_none_or(|pod| node_of(&pod.object()) == node);
            (!is_own).then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        _ => None,
    }
}

/// Nodes make only mirrors of pods that they have from elsewhere, and these refer to nothing.
fn new_pod(node: &str, pod: &Object) -> Option<String> {
    let annotations = pod.metadata.annotations.as_ref();
    if !annotations.is_some_and(|annotations| annotations.contains_key(MIRROR)) {
        return Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if node_of(pod) != node {
        return Some(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    let account = pod
        .at("spec.serviceAccountName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !account.is_empty() {
        return Some(format!(
            "node {node:?} can not create pods that reference a service account"
        ));
    }
    let volumes = pod.at("spec.volumes").and_then(Value::as_array).into_iter().flatten();
    let refers = |volume: &Value| {
        ["secret", "configMap", "persistentVolumeClaim", "projected"]
            .iter()
            .any(|source| volume[*source].is_object())
    };
    let refers = volumes.into_iter().any(refers);
    refers.then(|| {
        format!("node {node:?} can not create pods that reference configmaps, secrets or persistentvolumeclaims")
    })
}

fn own_node(attributes: &Attributes<'_>, node: &str, object: Option<&Object>) -> Option<String> {
    if attributes.name != node {
        return Some(format!(
            "node {node:?} is not allowed to modify node {:?}",
            attributes.name
        ));
    }
    let object = object?;
    let restricted = |object: &Object| -> Vec<(String, String)> {
        let labels = object.metadata.labels.clone().unwrap_or_default();
        let is_restricted = |key: &str| {
            let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
            prefix == RESTRICTED || prefix.ends_with(&format!(".{RESTRICTED}"))
        };
        labels.into_iter().filter(|(key, _)| is_restricted(key)).collect()
    };
    let before = attributes.old.map(restricted).unwrap_or_default();
    if restricted(object) != before {
        return Some(format!(
            "node {node:?} is not allowed to set labels with the prefix {RESTRICTED:?}"
        ));
    }
    let old = attributes.old?;
    let taints = |object: &Object| object.at("spec.taints").cloned();
    (taints(old) != taints(object)).then(|| format!("node {node:?} is not allowed to modify taints"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_make_mirrors_of_their_own() {
        let pod = |value: Value| -> Object { serde_json::from_value(value).expect("a pod") };
        let mirror = json!({"name": "p", "annotations": {MIRROR: "x"}});
        for (value, complaint) in [
            (
                json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}}),
                "can only create mirror pods",
            ),
            (
                json!({"metadata": mirror, "spec": {"nodeName": "n2"}}),
                "spec.nodeName set to itself",
            ),
            (
                json!({"metadata": mirror, "spec": {"nodeName": "n1", "serviceAccountName": "a"}}),
                "reference a service account",
            ),
            (
                json!({"metadata": mirror, "spec": {"nodeName": "n1", "volumes": [{"secret": {"secretName": "s"}}]}}),
                "reference configmaps, secrets",
            ),
        ] {
            let why = new_pod("n1", &pod(value)).expect(complaint);
            assert!(why.contains(complaint), "{why}");
        }
        let own = json!({"metadata": mirror, "spec": {"nodeName": "n1", "volumes": [{"hostPath": {"path": "/"}}]}});
        assert_eq!(new_pod("n1", &pod(own)), None);
    }
}
