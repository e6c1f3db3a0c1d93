//! Server-side apply and `managedFields` over TLS, as a client meets them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Answer, Client, Server};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const APPLY: (&str, &str) = ("content-type", "application/apply-patch+yaml");

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

async fn apply(client: &mut Client, path: &str, query: &str, document: &Value) -> Answer {
    let path = format!("{path}?{query}");
    client.send("PATCH", &path, &[APPLY], document.to_string()).await
}

/// `manager operation subresource`, by name: how they stand depends on the second in which they wrote.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let words = |entry: &Value| {
        ["manager", "operation", "subresource"]
            .map(|name| text(entry, name))
            .join(" ")
    };
    let mut managers: Vec<String> = entries.iter().map(|entry| words(entry).trim().to_owned()).collect();
    managers.sort();
    managers
}

fn fields<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["manager"] == manager).unwrap();
    &entry["fieldsV1"]
}

#[tokio::test]
async fn every_write_says_who_it_was() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let created = client
        .create(&format!("{MAPS}?fieldManager=creator"), &map("a", json!({"k": "1"})))
        .await;
    assert_eq!(managers(&created), ["creator Update"]);
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["apiVersion"], &entry["fieldsType"]),
        (&json!("v1"), &json!("FieldsV1"))
    );
    assert_eq!(entry["time"], created["metadata"]["creationTimestamp"]);
    assert_eq!(entry["fieldsV1"], json!({"f:data": {".": {}, "f:k": {}}}));

    let path = format!("{MAPS}/a");
    let headers = [
        ("content-type", "application/merge-patch+json"),
        ("user-agent", "curl/8.1 (x)"),
    ];
    let patched = client
        .send("PATCH", &path, &headers, r#"{"data":{"k":"2"}}"#)
        .await
        .json();
    assert_eq!(managers(&patched), ["creator Update", "curl Update"]);
    assert_eq!(fields(&patched, "creator"), &json!({"f:data": {}}));
    assert_eq!(fields(&patched, "curl"), &json!({"f:data": {"f:k": {}}}));

    let reset = client
        .merge(&path, &json!({"metadata": {"managedFields": []}}))
        .await
        .json();
    assert_eq!(managers(&reset), Vec::<String>::new());
    assert_ne!(
        reset["metadata"]["resourceVersion"],
        patched["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn parts_and_the_servers_own_fields() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}});
    let created = client.create(&format!("{PODS}?fieldManager=me"), &pod).await;
    let owned = fields(&created, "me");
    let container = &owned["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
    assert_eq!(container["."], json!({}));
    assert_eq!(
        container["f:terminationMessagePolicy"],
        json!({}),
        "defaults are the creator's"
    );
    assert_eq!(
        owned["f:spec"]["f:tolerations"],
        Value::Null,
        "what admission adds is nobody's: {owned}"
    );
    assert_eq!(owned["f:status"], Value::Null);
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let updated = client
        .merge(&format!("{PODS}/p/status?fieldManager=kubelet"), &status)
        .await
        .json();
    assert_eq!(managers(&updated), ["kubelet Update status", "me Update"]);

    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let path = format!("{SERVICES}/s");
    let created = apply(&mut client, &path, "fieldManager=me", &service).await;
    assert_eq!(created.code, 201, "{:?}", created.body);
    let created = created.json();
    let owned = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:selector": {}}});
    assert_eq!(fields(&created, "me"), &owned);
    let again = apply(&mut client, &path, "fieldManager=me", &service).await;
    assert_eq!(
        (again.code, again.json()),
        (200, created),
        "what changes nothing writes nothing"
    );
}

#[tokio::test]
async fn conflicts_force_and_removal() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let path = format!("{MAPS}/a");
    let answer = apply(
        &mut client,
        &path,
        "fieldManager=one&dryRun=All",
        &map("a", json!({"k": "1"})),
    )
    .await;
    assert_eq!(answer.code, 201);
    assert_eq!(client.get(&path).await.code, 404);
    apply(
        &mut client,
        &path,
        "fieldManager=one",
        &map("a", json!({"k": "1", "l": "1"})),
    )
    .await;
    let answer = apply(
        &mut client,
        &path,
        "fieldManager=two",
        &map("a", json!({"k": "2", "m": "1"})),
    )
    .await;
    let (code, message) = answer.failure();
    assert_eq!(
        (code, message.as_str()),
        (409, "Apply failed with 1 conflict: conflict with \"one\": .data.k")
    );
    assert_eq!(answer.json()["reason"], "Conflict");
    let cause = json!({"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k"});
    assert_eq!(answer.json()["details"], json!({"causes": [cause]}));
    let document = map("a", json!({"k": "2", "m": "1"}));
    let forced = apply(&mut client, &path, "fieldManager=two&force=true", &document)
        .await
        .json();
    assert_eq!(forced["data"], json!({"k": "2", "l": "1", "m": "1"}));
    assert_eq!(managers(&forced), ["one Apply", "two Apply"]);
    let document = map("a", json!({"m": "1"}));
    let removed = apply(&mut client, &path, "fieldManager=two", &document).await.json();
    assert_eq!(removed["data"], json!({"l": "1", "m": "1"}));
    let mut other = map("a", json!({"m": "2"}));
    other["metadata"]["resourceVersion"] = "1".into();
    let (code, message) = apply(&mut client, &path, "fieldManager=two", &other).await.failure();
    assert_eq!(code, 409);
    assert!(message.contains("the object has been modified"), "{message}");
}

#[tokio::test]
async fn wrong_applies_are_told_apart() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let path = format!("{MAPS}/a");
    let document = map("a", json!({"k": "1"}));
    let (code, message) = apply(&mut client, &path, "", &document).await.failure();
    let required =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!((code, message.as_str()), (422, required));
    let cbor = [("content-type", "application/apply-patch+cbor")];
    let answer = client
        .send("PATCH", &format!("{path}?fieldManager=a"), &cbor, "x")
        .await;
    assert_eq!(answer.code, 415);
    for (document, code, begin) in [
        (json!([]), 400, "error decoding patch"),
        (
            json!({"kind": "ConfigMap"}),
            400,
            "invalid object type: /, Kind=ConfigMap",
        ),
        (
            map("b", json!({})),
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            map("a", json!({"k": 1})),
            500,
            "failed to create typed patch object (/a; v1, Kind=ConfigMap): .data.k: expected string",
        ),
    ] {
        let (found, message) = apply(&mut client, &path, "fieldManager=a", &document).await.failure();
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(begin), "{message}");
    }
    let mut stale = document.clone();
    stale["metadata"]["uid"] = "3f6b".into();
    let (code, message) = apply(&mut client, &path, "fieldManager=a", &stale).await.failure();
    assert_eq!(code, 409);
    assert!(message.contains("uid mismatch"), "{message}");
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: a, k: b}\n";
    let strict = format!("{path}?fieldManager=a&fieldValidation=Strict");
    let (code, message) = client.send("PATCH", &strict, &[APPLY], twice).await.failure();
    assert_eq!(code, 400);
    assert!(message.starts_with("error strict decoding patch: "), "{message}");
    let loose = format!("{path}?fieldManager=a");
    assert_eq!(client.send("PATCH", &loose, &[APPLY], twice).await.code, 201);
    let missing = format!("{PODS}/none/status");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "none"}, "status": {"message": "m"}});
    assert_eq!(
        apply(&mut client, &missing, "fieldManager=a", &pod).await.code,
        404,
        "a part can't be created"
    );
}

#[tokio::test]
async fn who_may_patch_alone_creates_nothing() {
    let server = Server::start().await;
    let (mut client, mut eve) = (server.admin().await, server.client(Some("eve")).await);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    let role = json!({"metadata": {"name": "patcher"}, "rules": rules});
    client.create(&format!("{rbac}/roles"), &role).await;
    let binding = json!({"metadata": {"name": "patcher"},
        "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patcher"}});
    client.create(&format!("{rbac}/rolebindings"), &binding).await;
    let (path, document) = (format!("{MAPS}/a"), map("a", json!({"k": "1"})));
    let (code, message) = apply(&mut eve, &path, "fieldManager=eve", &document).await.failure();
    assert_eq!(code, 403);
    assert!(message.contains("cannot create resource \"configmaps\""), "{message}");
    client.create(MAPS, &map("a", json!({}))).await;
    assert_eq!(apply(&mut eve, &path, "fieldManager=eve", &document).await.code, 200);
}

#[tokio::test]
async fn versions_of_a_kind_share_their_managers() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/h");
    let scaler = |version: &str, spec: Value| {
        let mut spec = spec;
        spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"}, "spec": spec})
    };
    let first = scaler("v1", json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}));
    let created = apply(&mut client, &path("v1"), "fieldManager=one", &first).await;
    assert_eq!(created.code, 201, "{:?}", created.body);
    assert_eq!(created.json()["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(
        created.json()["metadata"]["managedFields"][0]["apiVersion"],
        "autoscaling/v2"
    );
    let second = scaler("v2", json!({"maxReplicas": 4}));
    let (code, message) = apply(&mut client, &path("v2"), "fieldManager=two", &second)
        .await
        .failure();
    let expected = "Apply failed with 1 conflict: conflict with \"one\": .spec.maxReplicas";
    assert_eq!((code, message.as_str()), (409, expected));
    let again = apply(&mut client, &path("v1"), "fieldManager=one", &first).await;
    assert_eq!((again.code, again.json()), (200, created.json()));
}

#[tokio::test]
async fn a_scale_can_be_applied_and_owns_the_replicas() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let sets = "/apis/apps/v1/namespaces/default/deployments";
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}});
    client
        .create(&format!("{sets}?fieldManager=creator"), &deployment)
        .await;
    let path = format!("{sets}/web/scale");
    let scale = |replicas: u32| {
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas}})
    };
    let (code, message) = apply(&mut client, &path, "fieldManager=me", &scale(2)).await.failure();
    let expected = "Apply failed with 1 conflict: conflict with \"creator\" using apps/v1: .spec.replicas";
    assert_eq!((code, message.as_str()), (409, expected));
    let scaled = apply(&mut client, &path, "fieldManager=me&force=true", &scale(2)).await;
    assert_eq!(
        (scaled.code, &scaled.json()["spec"]["replicas"]),
        (200, &json!(2)),
        "{:?}",
        scaled.body
    );
    let whole = client.get(&format!("{sets}/web")).await.json();
    assert_eq!(managers(&whole), ["creator Update", "me Apply scale"]);
    assert_eq!(fields(&whole, "me"), &json!({"f:spec": {"f:replicas": {}}}));
    let patched = client
        .merge(
            &format!("{path}?fieldManager=kubectl"),
            &json!({"spec": {"replicas": 3}}),
        )
        .await;
    assert_eq!(patched.code, 200);
    let whole = client.get(&format!("{sets}/web")).await.json();
    assert_eq!(managers(&whole), ["creator Update", "kubectl Update scale"]);
}
