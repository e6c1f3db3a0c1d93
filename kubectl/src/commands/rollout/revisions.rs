//! What an object was before: a deployment's ReplicaSets, a daemon or stateful set's ControllerRevisions.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

use crate::client::Session;
use crate::commands::{target, workload};
use crate::resources::Resource;

/// Where a deployment and its ReplicaSets have their revision's number.
const NUMBER: &str = "deployment.kubernetes.io/revision";
/// Why there is a revision, if somebody said so.
const CAUSE: &str = "kubernetes.io/change-cause";
/// The label that makes a deployment's ReplicaSets select different pods.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The number on a deployment or ReplicaSet.
#[must_use]
pub fn number_of(object: &Value) -> Option<i64> {
    object["metadata"]["annotations"][NUMBER].as_str()?.parse().ok()
}

/// Why there is this revision.
#[must_use]
pub fn cause_of(revision: &Value) -> &str {
    let cause = revision["metadata"]["annotations"][CAUSE].as_str().unwrap_or_default();
    if cause.is_empty() { "<none>" } else { cause }
}

/// The revisions of an object, by number.
///
/// # Errors
/// Those of asking, and when this kind has none.
pub async fn of(session: &Session, resource: &Resource, object: &Value) -> anyhow::Result<BTreeMap<i64, Value>> {
    let kind = match resource.kind.as_str() {
        "Deployment" => "replicasets.apps",
        "DaemonSet" | "StatefulSet" => "controllerrevisions.apps",
        kind => bail!("no history viewer has been implemented for {kind:?}"),
    };
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&session.namespace);
    let selector = workload::selector_of(object).ok_or_else(|| anyhow!("{} selects no pods", resource.kind))?;
    let revisions = session.called(kind).await?.remove(0);
    let query = target::query(&[("labelSelector", &selector)]);
    let mut list = session
        .get(&format!("{}{query}", revisions.collection(Some(namespace))))
        .await?;
    let owned = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let owned = owned.into_iter().filter(|item| belongs(item, object));
    Ok(owned
        .filter_map(|item| {
            let number = item["revision"].as_i64().or_else(|| number_of(&item))?;
            Some((number, item))
        })
        .collect())
}

/// The pod template of a revision, as the object had it.
#[must_use]
pub fn template(revision: &Value) -> Value {
    let of_set = &revision["spec"]["template"];
    let mut template = if of_set.is_object() {
        of_set.clone()
    } else {
        revision["data"]["spec"]["template"].clone()
    };
    let labels = template.pointer_mut("/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    template
}

/// The pod template of a revision for people: as it stands, and with the reason for it.
#[must_use]
pub fn shown(revision: &Value) -> Value {
    let of_set = &revision["spec"]["template"];
    let mut template = if of_set.is_object() {
        of_set.clone()
    } else {
        template(revision)
    };
    if cause_of(revision) != "<none>" {
        template["metadata"]["annotations"][CAUSE] = Value::from(cause_of(revision));
    }
    template
}

/// The change that makes an object what a revision says. Pure.
#[must_use]
pub fn way_back(object: &Value, revision: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind != "Deployment" {
        return revision["data"].clone();
    }
    // What stands on the deployment itself stays, but for what came with the revision.
    let mut annotations = json!({});
    let kept = [
        "kubectl.kubernetes.io/last-applied-configuration",
        NUMBER,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    ];
    let of = |from: &Value, own: bool| -> Vec<(String, Value)> {
        let all = from["metadata"]["annotations"].as_object().into_iter().flatten();
        all.filter(|(name, _)| kept.contains(&name.as_str()) == own)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    for (name, value) in of(object, true).into_iter().chain(of(revision, false)) {
        annotations[name] = value;
    }
    json!([
        {"op": "replace", "path": "/spec/template", "value": template(revision)},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ])
}

fn belongs(item: &Value, owner: &Value) -> bool {
    let owners = item["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let mut controllers = owners.filter(|reference| reference["controller"] == true);
    controllers.any(|reference| reference["uid"] == owner["metadata"]["uid"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_goes_back_to_a_template_without_its_hash() {
        let deployment =
            json!({"kind": "Deployment", "metadata": {"uid": "u", "annotations": {NUMBER: "2", "mine": "x"}}});
        let set = json!({"metadata": {"annotations": {NUMBER: "1", CAUSE: "first"}, "ownerReferences": [{"controller": true, "uid": "u"}]},
            "spec": {"template": {"metadata": {"labels": {"app": "a", TEMPLATE_HASH: "h"}}, "spec": {"x": 1}}}});
        assert!(belongs(&set, &deployment));
        assert!(!belongs(&set, &json!({"metadata": {"uid": "v"}})));
        assert_eq!((number_of(&set), cause_of(&set)), (Some(1), "first"));
        let patch = way_back(&deployment, &set);
        assert_eq!(
            patch[0]["value"],
            json!({"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1}})
        );
        assert_eq!(patch[1]["value"], json!({NUMBER: "2", CAUSE: "first"}));
    }

    #[test]
    fn a_daemon_set_goes_back_by_its_revisions_data() {
        let data = json!({"spec": {"template": {"$patch": "replace", "spec": {"x": 1}}}});
        let revision = json!({"revision": 3, "data": data});
        assert_eq!(way_back(&json!({"kind": "DaemonSet"}), &revision), data);
        assert_eq!(template(&revision), json!({"spec": {"x": 1}}));
    }
}
