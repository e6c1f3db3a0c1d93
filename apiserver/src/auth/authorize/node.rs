//! What a node may: read and write what is its own, and read what its pods name. Everything that isn't about single pods,
//! nodes or what pods refer to is upstream's fixed list of rules.
//!
//! What is related to a node is looked up among its pods when it is asked; nothing is kept. Whether a write is about the node's
//! own pods and no others is for admission, which sees the object.

use std::sync::LazyLock;

use minik_api::object::Object;
use minik_api::selector::{FieldRequirement, Fields};
use serde_json::Value;

use super::{Asked, Resource};
use crate::auth::rbac::PolicyRule;
use crate::auth::rbac::bootstrap::node_rules;
use crate::storage::{Key, Store};

const LEASES: &str = "kube-node-lease";

/// Whether the node may; a reason when there is something to say.
pub(super) fn decide(store: &Store, node: &str, asked: &Asked<'_>) -> Result<(), Option<String>> {
    static RULES: LazyLock<Vec<PolicyRule>> = LazyLock::new(node_rules);
    if let Asked::Resource(resource) = asked {
        let decided = match (resource.group, resource.resource) {
            ("", "secrets" | "configmaps") => Some(readable(store, node, resource)),
            ("", "persistentvolumeclaims") => Some(claim(store, node, resource)),
            ("", "serviceaccounts") => Some(token(store, node, resource)),
            ("", "nodes") => Some(own_node(node, resource)),
            ("", "pods") => Some(own_pods(store, node, resource)),
            ("coordination.k8s.io", "leases") => Some(lease(node, resource)),
            ("storage.k8s.io", "csinodes") => Some(csi_node(node, resource)),
            _ => None,
        };
        if let Some(decided) = decided {
            return decided.map_err(|why| Some(why).filter(|why| !why.is_empty()));
        }
    }
    match RULES.iter().any(|rule| rule.allows(asked)) {
        true => Ok(()),
        false => Err(None),
    }
}

fn readable(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    if !["get", "list", "watch"].contains(&asked.verb) {
        return Err("can only read resources of this type".into());
    }
    if !asked.subresource.is_empty() {
        return Err("cannot read subresource".into());
    }
    if asked.namespace.is_empty() {
        return Err("can only read namespaced object of this type".into());
    }
    related(store, node, asked)
}

fn claim(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    let is_status = asked.subresource == "status" && ["update", "patch"].contains(&asked.verb);
    match (asked.verb, asked.subresource) {
        ("get", "") => related(store, node, asked),
        _ if is_status => related(store, node, asked),
        _ => Err("can only get individual resources of this type".into()),
    }
}

fn token(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    if asked.verb != "create" || asked.name.is_empty() {
        return Err("can only create tokens for individual service accounts".into());
    }
    if asked.subresource != "token" {
        return Err("can only create token subresource of serviceaccount".into());
    }
    related(store, node, asked)
}

fn lease(node: &str, asked: &Resource<'_>) -> Result<(), String> {
    if !["get", "create", "update", "patch", "delete"].contains(&asked.verb) {
        return Err("can only get, create, update, patch, or delete a node lease".into());
    }
    if asked.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if asked.verb != "create" && asked.name != node {
        return Err("can only access node lease with the same name as the requesting node".into());
    }
    Ok(())
}

fn csi_node(node: &str, asked: &Resource<'_>) -> Result<(), String> {
    if !["get", "create", "update", "patch", "delete"].contains(&asked.verb) {
        return Err("can only get, create, update, patch, or delete a CSINode".into());
    }
    if asked.verb != "create" && asked.name != node {
        return Err("can only access CSINode with the same name as the requesting node".into());
    }
    Ok(())
}

fn own_node(node: &str, asked: &Resource<'_>) -> Result<(), String> {
    match (asked.subresource, asked.verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match asked.name {
            name if name == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
        },
        _ => Err(String::new()),
    }
}

fn own_pods(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    match (asked.subresource, asked.verb) {
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
        ("", "get") => own_pod(store, node, asked),
        ("", "list" | "watch") if asked.fields.is_some_and(|fields| selects_node(fields, node)) => Ok(()),
        ("", "list" | "watch") if !asked.name.is_empty() => own_pod(store, node, asked),
        ("", "list" | "watch") => Err("can only list/watch pods with spec.nodeName field selector".into()),
        _ => Err(String::new()),
    }
}

fn selects_node(fields: &Fields, node: &str) -> bool {
    let selects = |one: &FieldRequirement| one.path == "spec.nodeName" && one.equal && one.value == node;
    fields.requirements().iter().any(selects)
}

fn no_relation(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

fn own_pod(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    let pod = store.get(&Key::new("pods", asked.namespace, asked.name));
    let is_own = pod.is_some_and(|pod| node_of(&pod.object()) == node);
    is_own.then_some(()).ok_or_else(|| no_relation(node))
}

/// Whether one of the node's pods names the object.
fn related(store: &Store, node: &str, asked: &Resource<'_>) -> Result<(), String> {
    if asked.name.is_empty() {
        return Err("No Object name found".into());
    }
    // Names need no escapes in JSON: a pod whose text hasn't got the name doesn't have to be decoded.
    let quoted = format!("\"{}\"", asked.name);
    let snapshot = store.snapshot("pods");
    let mut pods = snapshot
        .objects("pods", asked.namespace, None)
        .filter(|pod| contains(&pod.json, quoted.as_bytes()));
    let names = |pod: &Object| node_of(pod) == node && refers(pod, asked.resource, asked.name);
    let found = pods.any(|pod| names(&pod.object()));
    found.then_some(()).ok_or_else(|| no_relation(node))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The node that a pod is bound to.
pub(crate) fn node_of(pod: &Object) -> &str {
    pod.at("spec.nodeName").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the pod's spec names this object of its namespace.
fn refers(pod: &Object, resource: &str, name: &str) -> bool {
    let Some(spec) = pod.body.get("spec") else {
        return false;
    };
    let is = |value: &Value| value.as_str() == Some(name);
    match resource {
        "serviceaccounts" => is(&spec["serviceAccountName"]),
        "persistentvolumeclaims" => claims(pod, spec).any(|claim| claim == name),
        "secrets" => {
            list(&spec["imagePullSecrets"]).any(|one| is(&one["name"]))
                || any_container(spec, "secretRef", "secretKeyRef", name)
                || volumes(spec).any(|volume| names_secret(volume, name))
        }
        _ => {
            any_container(spec, "configMapRef", "configMapKeyRef", name)
                || sources(spec).any(|source| is(&source["configMap"]["name"]))
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn volumes(spec: &Value) -> impl Iterator<Item = &Value> {
    list(&spec["volumes"])
}

/// Volumes, and the parts of projected ones.
fn sources(spec: &Value) -> impl Iterator<Item = &Value> {
    volumes(spec).chain(volumes(spec).flat_map(|volume| list(&volume["projected"]["sources"])))
}

fn claims(pod: &Object, spec: &Value) -> impl Iterator<Item = String> {
    volumes(spec).filter_map(|volume| match &volume["ephemeral"] {
        Value::Object(_) => Some(format!("{}-{}", pod.name(), volume["name"].as_str()?)),
        _ => volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned),
    })
}

fn any_container(spec: &Value, all: &str, key: &str, name: &str) -> bool {
    let is = |value: &Value| value.as_str() == Some(name);
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    containers
        .iter()
        .flat_map(|field| list(&spec[*field]))
        .any(|container| {
            list(&container["envFrom"]).any(|from| is(&from[all]["name"]))
                || list(&container["env"]).any(|variable| is(&variable["valueFrom"][key]["name"]))
        })
}

fn names_secret(volume: &Value, name: &str) -> bool {
    let is = |value: &Value| value.as_str() == Some(name);
    // Those of storage systems, which nothing here mounts but a pod may name.
    const OTHERS: [&str; 9] = [
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "flexVolume",
        "iscsi",
        "rbd",
        "scaleIO",
        "storageos",
    ];
    is(&volume["secret"]["secretName"])
        || list(&volume["projected"]["sources"]).any(|source| is(&source["secret"]["name"]))
        || OTHERS.iter().any(|kind| {
            let source = &volume[*kind];
            is(&source["secretName"]) || is(&source["secretRef"]["name"]) || is(&source["nodePublishSecretRef"]["name"])
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_refers_to_what_its_spec_names() {
        let pod: Object = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
            "serviceAccountName": "web", "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
            "containers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "k"}}}]}],
            "volumes": [{"name": "a", "secret": {"secretName": "mounted"}},
                {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "root"}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "d", "ephemeral": {}},
                {"name": "e", "csi": {"nodePublishSecretRef": {"name": "publish"}}}]}}))
        .expect("a pod");
        for (resource, name, is_named) in [
            ("secrets", "pull", true),
            ("secrets", "init", true),
            ("secrets", "key", true),
            ("secrets", "mounted", true),
            ("secrets", "projected", true),
            ("secrets", "publish", true),
            ("secrets", "config", false),
            ("secrets", "web", false),
            ("configmaps", "config", true),
            ("configmaps", "root", true),
            ("configmaps", "key", false),
            ("persistentvolumeclaims", "data", true),
            ("persistentvolumeclaims", "p-d", true),
            ("serviceaccounts", "web", true),
            ("serviceaccounts", "default", false),
        ] {
            assert_eq!(refers(&pod, resource, name), is_named, "{resource} {name}");
        }
    }

    #[test]
    fn nodes_see_themselves_alone() {
        let ask = |verb, subresource, name| Resource {
            verb,
            resource: "nodes",
            subresource,
            name,
            ..Resource::default()
        };
        for (asked, allowed) in [
            (ask("get", "", "n1"), true),
            (ask("watch", "", "n1"), true),
            (ask("get", "", "n2"), false),
            (ask("list", "", ""), false),
            (ask("create", "", ""), true),
            (ask("patch", "status", "n2"), true),
            (ask("delete", "", "n1"), false),
            (ask("get", "proxy", "n1"), false),
        ] {
            assert_eq!(own_node("n1", &asked).is_ok(), allowed, "{asked:?}");
        }
    }

    #[test]
    fn leases_are_those_of_nodes() {
        let ask = |verb, namespace, name| Resource {
            verb,
            group: "coordination.k8s.io",
            resource: "leases",
            namespace,
            name,
            ..Resource::default()
        };
        for (asked, allowed) in [
            (ask("update", LEASES, "n1"), true),
            (ask("create", LEASES, ""), true),
            (ask("update", LEASES, "n2"), false),
            (ask("get", "kube-system", "n1"), false),
            (ask("list", LEASES, ""), false),
        ] {
            assert_eq!(lease("n1", &asked).is_ok(), allowed, "{asked:?}");
        }
    }
}
