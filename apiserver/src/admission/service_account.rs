//! Every pod runs as a service account: `default` unless it says otherwise, and one that is there. With the account come its
//! token, as a projected volume in every container, and its image pull secrets.

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Map, Value, json};

use super::{Attributes, Mutate, Operation, Validate};
use crate::registry::{generated, resource};
use crate::storage::Key;

const DEFAULT: &str = "default";
/// Pods that a kubelet mirrors from files of its own have no account.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Where client libraries look.
const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
/// An hour, and seven seconds by which the server knows that the pod didn't ask itself (upstream's
/// WarnOnlyBoundTokenExpirationSeconds).
const SECONDS: i64 = 60 * 60 + 7;

/// The plugin.
pub(super) struct ServiceAccount;

impl Mutate for ServiceAccount {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !applies(attributes, object) {
            return;
        }
        let Some(Value::Object(spec)) = object.body.get_mut("spec") else {
            return;
        };
        let named = |value: Option<&Value>| {
            value
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        };
        let name = named(spec.get("serviceAccountName")).or_else(|| named(spec.get("serviceAccount")));
        let name = name.unwrap_or_else(|| DEFAULT.to_owned());
        let account = account(attributes, &name);
        spec.insert("serviceAccountName".into(), json!(name));
        // The older name of the same field; clients read either.
        spec.insert("serviceAccount".into(), json!(name));
        let account = account.as_ref().map(|account| &account.body);
        if wants_token(spec, account) {
            mount_token(spec, || generated(VOLUME, &mut rand::rng()));
        }
        add_pull_secrets(spec, account);
    }
}

impl Validate for ServiceAccount {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object.filter(|object| applies(attributes, object)) else {
            return Ok(());
        };
        let name = object
            .at("spec.serviceAccountName")
            .and_then(Value::as_str)
            .unwrap_or(DEFAULT);
        // The default account comes a moment after its namespace, and nothing about it can be different by then.
        if name == DEFAULT || account(attributes, name).is_some() {
            return Ok(());
        }
        let namespace = attributes.namespace;
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        Err(Status::forbidden(attributes.kind, attributes.name, &why))
    }
}

fn applies(attributes: &Attributes<'_>, object: &Object) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    let is_mirror = annotations.is_some_and(|annotations| annotations.contains_key(MIRROR));
    attributes.operation == Operation::Create && attributes.kind.kind == "Pod" && !is_mirror
}

fn account(attributes: &Attributes<'_>, name: &str) -> Option<Object> {
    let kind = kinds::of("", "v1", "ServiceAccount").expect("service accounts are in the table of kinds");
    let stored = attributes
        .store
        .get(&Key::new(&resource(kind), attributes.namespace, name))?;
    Some(stored.object())
}

/// The pod's word counts before its account's; without either there is a token.
fn wants_token(pod: &Map<String, Value>, account: Option<&Map<String, Value>>) -> bool {
    let said = |from: &Map<String, Value>| from.get("automountServiceAccountToken").and_then(Value::as_bool);
    said(pod).or_else(|| account.and_then(said)).unwrap_or(true)
}

fn add_pull_secrets(pod: &mut Map<String, Value>, account: Option<&Map<String, Value>>) {
    let some = |from: &Map<String, Value>| {
        let list = from.get("imagePullSecrets").and_then(Value::as_array);
        list.filter(|list| !list.is_empty()).cloned()
    };
    if some(pod).is_none()
        && let Some(secrets) = account.and_then(some)
    {
        pod.insert("imagePullSecrets".into(), secrets.into());
    }
}

/// Mounts the token where it isn't yet, and adds its volume when it is mounted anywhere.
fn mount_token(spec: &mut Map<String, Value>, volume_name: impl FnOnce() -> String) {
    let volumes = spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let names = volumes.filter_map(|volume| volume["name"].as_str());
    let there = names
        .into_iter()
        .find(|name| name.starts_with(VOLUME))
        .map(str::to_owned);
    let is_there = there.is_some();
    let name = there.unwrap_or_else(volume_name);
    let mut is_mounted = false;
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            if mounts.is_null() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if !mounts.iter().any(|mount| mount["mountPath"] == PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": PATH}));
                is_mounted = true;
            }
        }
    }
    if !is_mounted || is_there {
        return;
    }
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    if volumes.is_null() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(token_volume(&name));
    }
}

/// The token, the authority by which the server is known, and the namespace.
fn token_volume(name: &str) -> Value {
    let namespace = json!({"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}});
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(mut spec: Value) -> Value {
        mount_token(spec.as_object_mut().expect("a spec"), || "kube-api-access-x".into());
        spec
    }

    #[test]
    fn every_container_gets_the_token() {
        let spec = mounted(
            json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": "/x"}]}],
            "initContainers": [{"name": "i", "volumeMounts": null}]}),
        );
        let mount = json!({"name": "kube-api-access-x", "readOnly": true, "mountPath": PATH});
        assert_eq!(spec["containers"][0]["volumeMounts"], json!([mount]));
        assert_eq!(spec["containers"][1]["volumeMounts"][1], mount);
        assert_eq!(spec["initContainers"][0]["volumeMounts"], json!([mount]));
        let volumes = spec["volumes"].as_array().expect("volumes");
        assert_eq!(volumes.len(), 1);
        assert_eq!(
            volumes[0]["projected"]["sources"][0]["serviceAccountToken"]["path"],
            "token"
        );
        assert_eq!(mounted(spec.clone()), spec, "once");
    }

    #[test]
    fn a_container_that_mounts_there_itself_is_left_alone() {
        let spec = json!({"containers": [{"name": "a", "volumeMounts": [{"name": "own", "mountPath": PATH}]}]});
        assert_eq!(mounted(spec.clone()), spec);
    }

    #[test]
    fn the_pod_decides_then_its_account() {
        let said = |value: Value| json!({"automountServiceAccountToken": value});
        let map = |value: &Value| value.as_object().expect("a map").clone();
        for (pod, account, wanted) in [
            (json!({}), None, true),
            (json!({}), Some(json!({})), true),
            (json!({}), Some(said(json!(false))), false),
            (said(json!(true)), Some(said(json!(false))), true),
            (said(json!(false)), Some(said(json!(true))), false),
        ] {
            let account = account.as_ref().map(map);
            assert_eq!(wants_token(&map(&pod), account.as_ref()), wanted, "{pod} {account:?}");
        }
    }

    #[test]
    fn pull_secrets_of_the_account_are_for_pods_without_any() {
        let account = json!({"imagePullSecrets": [{"name": "a"}]});
        for (pod, expected) in [
            (json!({}), json!([{"name": "a"}])),
            (json!({"imagePullSecrets": []}), json!([{"name": "a"}])),
            (json!({"imagePullSecrets": [{"name": "b"}]}), json!([{"name": "b"}])),
        ] {
            let mut pod = pod.as_object().expect("a map").clone();
            add_pull_secrets(&mut pod, account.as_object());
            assert_eq!(pod["imagePullSecrets"], expected);
        }
    }
}
