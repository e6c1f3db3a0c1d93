//! Kinds of the other groups through the API: what the server writes into them, and what it refuses.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use support::{Client, Server};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn request(name: &str, organization: &str) -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, organization);
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    json!({"metadata": {"name": name}, "spec": {"request": BASE64_STANDARD.encode(pem), "username": "somebody else",
        "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}})
}

/// What `kubectl certificate approve` does.
async fn approve(client: &mut Client, name: &str) -> support::Answer {
    let path = format!("{REQUESTS}/{name}");
    let mut approved = client.get(&path).await.json();
    approved["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Test"}]);
    client.put(&format!("{path}/approval"), &approved).await
}

#[tokio::test]
async fn certificates_are_asked_for_and_approved() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let asked = admin.create(REQUESTS, &request("r", "developers")).await;
    assert_ne!(asked["spec"]["username"], "somebody else");
    assert!(
        asked["spec"]["groups"]
            .as_array()
            .unwrap()
            .contains(&json!("system:authenticated"))
    );
    let (code, message) = admin.post(REQUESTS, &request("m", "system:masters")).await.failure();
    assert_eq!(code, 403);
    assert!(message.contains("system:masters group is not allowed"), "{message}");

    let rules = json!([{"apiGroups": ["certificates.k8s.io"], "verbs": ["*"],
        "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"]}]);
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    admin
        .create(roles, &json!({"metadata": {"name": "requests"}, "rules": rules}))
        .await;
    let binding = json!({"metadata": {"name": "requests"}, "roleRef": {"kind": "ClusterRole", "name": "requests"},
        "subjects": [{"kind": "User", "name": "eve"}]});
    admin
        .create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding)
        .await;
    let mut eve = server.client(Some("eve")).await;
    let (code, message) = approve(&mut eve, "r").await.failure();
    assert_eq!(code, 403);
    assert!(
        message.contains("user not permitted to approve requests with signerName"),
        "{message}"
    );

    let approved = approve(&mut admin, "r").await.json();
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(condition["type"], "Approved");
    assert!(condition["lastTransitionTime"].is_string() && condition["lastUpdateTime"].is_string());
    let mut changed = approved.clone();
    changed["spec"]["signerName"] = "example.com/other".into();
    let kept = admin.put(&format!("{REQUESTS}/r"), &changed).await.json();
    assert_eq!(kept["spec"], asked["spec"]);
}

#[tokio::test]
async fn events_are_the_same_in_both_groups() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = json!({"metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Start",
        "reportingController": "example.com/c", "reportingInstance": "c-1", "reason": "Started", "note": "It runs.",
        "type": "Normal", "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}});
    let created = client.create(events, &event).await;
    assert_eq!(
        (&created["apiVersion"], &created["note"]),
        (&json!("events.k8s.io/v1"), &json!("It runs."))
    );
    let core = client
        .get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp")
        .await
        .json();
    assert_eq!(core["items"][0]["message"], "It runs.");
    assert_eq!(core["items"][0]["metadata"]["uid"], created["metadata"]["uid"]);
    let newer = client
        .get(&format!("{events}?fieldSelector=regarding.name%3Dp"))
        .await
        .json();
    assert_eq!(newer["items"][0]["regarding"]["name"], "p");
    let none = client
        .get(&format!("{events}?fieldSelector=regarding.name%3Dq"))
        .await
        .json();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn what_the_system_needs_is_there_and_stays() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let critical = client.get(&format!("{classes}/system-node-critical")).await.json();
    assert_eq!(critical["value"], 2_000_001_000);
    let (code, message) = client
        .delete(&format!("{classes}/system-node-critical"))
        .await
        .failure();
    assert_eq!(code, 403);
    assert!(
        message.ends_with("this is a system priority class and cannot be deleted"),
        "{message}"
    );
    let services = client
        .get("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps")
        .await
        .json();
    assert_eq!(services["status"]["conditions"][0]["type"], "Available");
    let ranges = client
        .get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
        .await
        .json();
    assert_eq!(ranges["spec"]["cidrs"], json!(["10.96.0.0/16"]));
    let (code, _) = client.delete("/api/v1/namespaces").await.failure();
    assert_eq!(code, 405, "namespaces are deleted one by one");
}

#[tokio::test]
async fn generations_count_what_is_wanted() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let created = client.create(hooks, &json!({"metadata": {"name": "h"}})).await;
    assert_eq!(created["metadata"]["generation"], 1);
    let labelled = client
        .merge(&format!("{hooks}/h"), &json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .json();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let hook = json!({"name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://a.example.com"}});
    let changed = client
        .merge(&format!("{hooks}/h"), &json!({"webhooks": [hook]}))
        .await
        .json();
    assert_eq!(
        (
            &changed["metadata"]["generation"],
            &changed["webhooks"][0]["timeoutSeconds"]
        ),
        (&json!(2), &json!(10))
    );
}
