//! Webhooks over TLS: what they change, what they refuse, and what becomes of requests when they can't be asked.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::convert::Infallible;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use support::{Client, Server};
use tokio::net::TcpListener;

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// `/label/KEY` sets a label; `/judge` refuses what has the label `bad`.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    let asked = review["request"].take();
    let mut response = json!({"uid": asked["uid"], "allowed": true});
    let labels = &asked["object"]["metadata"]["labels"];
    if let Some(key) = path.strip_prefix("/label/") {
        // Says how often it has been asked, in what it sets.
        let before = labels[key].as_str().map_or(0, |text| text.parse::<u32>().unwrap());
        let mut all = labels.as_object().cloned().unwrap_or_default();
        all.insert(key.to_owned(), json!((before + 1).to_string()));
        let patch = json!([{"op": "add", "path": "/metadata/labels", "value": all}]);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(BASE64_STANDARD.encode(patch.to_string()));
    } else {
        response["warnings"] = json!(["judged"]);
        let old = &asked["oldObject"]["metadata"]["labels"];
        if labels["bad"].is_string() || (asked["operation"] == "DELETE" && old["kept"].is_string()) {
            response["allowed"] = json!(false);
            response["status"] = json!({"message": format!("{} is bad", asked["name"].as_str().unwrap()), "code": 403});
        }
    }
    let answer = json!({"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response});
    Ok(Response::new(Full::new(answer.to_string().into())))
}

/// One webhook about config maps.
fn hook(server: &Server, name: &str, port: u16, path: &str, more: &Value) -> Value {
    let authority = std::fs::read(server.directory.path().join("ca.crt")).unwrap();
    let mut hook = json!({"name": format!("{name}.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": format!("https://127.0.0.1:{port}{path}"), "caBundle": BASE64_STANDARD.encode(authority)},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "objectSelector": {"matchExpressions": [{"key": "free", "operator": "DoesNotExist"}]}});
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    hook
}

async fn configure(client: &mut Client, path: &str, hooks: &[Value]) {
    client
        .create(path, &json!({"metadata": {"name": "c"}, "webhooks": hooks}))
        .await;
}

fn map(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

#[tokio::test]
async fn webhooks_change_objects_one_after_the_other() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let port = server.serve_beside(answer).await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    let hooks = [
        hook(&server, "first.c", port, "/label/first", &again),
        hook(&server, "second.c", port, "/label/second", &json!({})),
    ];
    configure(&mut client, MUTATING, &hooks).await;
    let made = client.create(MAPS, &map("a", &json!({}))).await;
    assert_eq!(made["metadata"]["labels"], json!({"first": "2", "second": "1"}));
    let answer = client
        .merge(&format!("{MAPS}/a"), &json!({"data": {"x": "y"}}))
        .await
        .json();
    assert_eq!(answer["metadata"]["labels"], json!({"first": "4", "second": "2"}));
    assert_eq!(
        client.get(&format!("{MAPS}/a")).await.json()["metadata"]["labels"],
        answer["metadata"]["labels"]
    );
    let made = client.create(MAPS, &map("free", &json!({"free": "yes"}))).await;
    assert_eq!(made["metadata"]["labels"], json!({"free": "yes"}));
}

#[tokio::test]
async fn webhooks_refuse() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let port = server.serve_beside(answer).await;
    let condition = json!({"sideEffects": "NoneOnDryRun",
        "matchConditions": [{"name": "n", "expression": "request.name != 'spared'"}]});
    configure(
        &mut client,
        VALIDATING,
        &[hook(&server, "judge.c", port, "/judge", &condition)],
    )
    .await;
    let answer = client.post(MAPS, &map("a", &json!({"bad": "yes"}))).await;
    let why = |name: &str| format!("admission webhook \"judge.c.example.com\" denied the request: {name} is bad");
    assert_eq!(answer.failure(), (403, why("a")));
    let answer = client.post(MAPS, &map("a", &json!({"kept": "yes"}))).await;
    assert_eq!(
        (answer.code, &answer.headers["warning"]),
        (201, &"299 - \"judged\"".parse().unwrap())
    );
    assert_eq!(client.delete(&format!("{MAPS}/a")).await.failure(), (403, why("a")));
    client.create(MAPS, &map("spared", &json!({"bad": "yes"}))).await;
    let path = format!("{MAPS}?dryRun=All");
    assert_eq!(client.post(&path, &map("b", &json!({"bad": "yes"}))).await.code, 403);
}

#[tokio::test]
async fn who_cannot_be_asked_decides_by_policy() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    // Nobody listens there any more.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut ignored = hook(&server, "gone.c", port, "/judge", &json!({"failurePolicy": "Ignore"}));
    configure(&mut client, VALIDATING, &[ignored.clone()]).await;
    client.create(MAPS, &map("a", &json!({}))).await;
    ignored["failurePolicy"] = json!("Fail");
    let answer = client
        .merge(&format!("{VALIDATING}/c"), &json!({"webhooks": [ignored]}))
        .await;
    assert_eq!(answer.code, 200);
    let (code, message) = client.post(MAPS, &map("b", &json!({}))).await.failure();
    assert_eq!(code, 500);
    let begin = format!(
        "Internal error occurred: failed calling webhook \"gone.c.example.com\": failed to call webhook: Post \"https://127.0.0.1:{port}/judge?timeout=10s\": dial tcp"
    );
    assert!(message.starts_with(&begin), "{message}");
    assert_eq!(
        client.delete(&format!("{VALIDATING}/c")).await.code,
        200,
        "webhooks don't keep themselves"
    );
    client.create(MAPS, &map("b", &json!({}))).await;
}

#[tokio::test]
async fn services_are_webhooks_and_connections_are_admitted() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let port = server.serve_beside(answer).await;
    let service = json!({"metadata": {"name": "hooks"}, "spec": {"type": "ExternalName", "externalName": "127.0.0.1"}});
    client.create("/api/v1/namespaces/default/services", &service).await;
    let hook = |path: &str, service: &str, operation: &str, resource: &str| {
        let mut hook = hook(&server, "s", port, path, &json!({}));
        hook["clientConfig"].as_object_mut().unwrap().remove("url");
        hook["clientConfig"]["service"] = json!({"namespace": "default", "name": service, "port": port, "path": path});
        hook["rules"][0]["operations"] = json!([operation]);
        hook["rules"][0]["resources"] = json!([resource]);
        hook
    };
    configure(
        &mut client,
        VALIDATING,
        &[hook("/judge", "hooks", "CREATE", "configmaps")],
    )
    .await;
    client.create(MAPS, &map("a", &json!({}))).await;
    let (code, message) = client.post(MAPS, &map("b", &json!({"bad": "x"}))).await.failure();
    assert_eq!((code, message.ends_with("b is bad")), (403, true), "{message}");
    client.delete(&format!("{VALIDATING}/c")).await;

    configure(
        &mut client,
        VALIDATING,
        &[hook("/judge", "nowhere", "CONNECT", "pods/exec")],
    )
    .await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    client.create(pods, &pod).await;
    let exec = format!("{pods}/p/exec?command=sh&stdin=true");
    let (code, message) = client.post(&exec, &json!({})).await.failure();
    let words = "failed calling webhook \"s.example.com\": failed to call webhook: service \"nowhere\" not found";
    assert_eq!((code, message.ends_with(words)), (500, true), "{message}");
    client.delete(&format!("{VALIDATING}/c")).await;
    let (code, message) = client.post(&exec, &json!({})).await.failure();
    assert_eq!(code, 400, "it goes on as if nobody had been asked: {message}");

    // Nobody is asked about what isn't there.
    configure(
        &mut client,
        VALIDATING,
        &[hook("/judge", "nowhere", "DELETE", "configmaps")],
    )
    .await;
    assert_eq!(client.delete(&format!("{MAPS}/none")).await.code, 404);
    assert_eq!(client.delete(&format!("{MAPS}/a")).await.code, 500);
}
