//! APIs that another server answers for: found in discovery, passed on with the user's name, and gone when that server is.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use support::{Client, Server};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const NODES: &str = "/apis/metrics.example.com/v1beta1/nodes";
const PATIENCE: Duration = Duration::from_secs(60);

/// Says what it serves, and of anything else who asks for it.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let value = match request.uri().path() {
        "/apis/metrics.example.com/v1beta1" => json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": "metrics.example.com/v1beta1", "resources": [
                {"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]}]}),
        "/openapi/v3" => json!({"paths": {"apis/metrics.example.com/v1beta1": {
            "serverRelativeURL": "/openapi/v3/apis/metrics.example.com/v1beta1?hash=1"}}}),
        path => {
            let headers = request.headers();
            let all = |name: &str| -> Vec<&str> {
                headers
                    .get_all(name)
                    .iter()
                    .map(|value| value.to_str().unwrap())
                    .collect()
            };
            json!({"path": path, "query": request.uri().query(), "user": all("x-remote-user"),
                "groups": all("x-remote-group"), "host": all("host"), "secrets": all("authorization")})
        }
    };
    Ok(Response::new(Full::new(value.to_string().into())))
}

fn api_service(port: u16, authority: &[u8]) -> Value {
    json!({"metadata": {"name": "v1beta1.metrics.example.com"}, "spec": {
        "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "caBundle": BASE64_STANDARD.encode(authority),
        "service": {"namespace": "default", "name": "hooks", "port": port}}})
}

/// Waits for the reason of the condition `Available`.
async fn until(server: &Server, reason: &str) {
    let mut client = server.admin().await;
    let mut watch = client
        .watch(&format!(
            "{SERVICES}?watch=true&fieldSelector=metadata.name=v1beta1.metrics.example.com"
        ))
        .await;
    let reached = async {
        loop {
            let event = watch.next().await.expect("the watch goes on");
            if event["object"]["status"]["conditions"][0]["reason"] == reason {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("in time");
}

fn groups(list: &Value) -> Vec<&str> {
    let all = list["items"].as_array().unwrap().iter();
    all.filter_map(|one| one["metadata"]["name"].as_str()).collect()
}

async fn discovered(client: &mut Client) -> Value {
    let accept = (
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    client.send("GET", "/apis", &[accept], "").await.json()
}

#[tokio::test]
async fn another_server_answers_for_its_group() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let port = server.serve_beside(answer).await;
    let authority = std::fs::read(server.directory.path().join("ca.crt")).unwrap();
    admin.create(SERVICES, &api_service(port, &authority)).await;
    until(&server, "ServiceNotFound").await;
    let answer = admin.get(NODES).await;
    assert_eq!((answer.code, &*answer.body), (503, &b"service unavailable\n"[..]));

    let service = json!({"metadata": {"name": "hooks"}, "spec": {"type": "ExternalName", "externalName": "127.0.0.1"}});
    admin.create("/api/v1/namespaces/default/services", &service).await;
    until(&server, "Passed").await;
    let told = admin.get(&format!("{NODES}?limit=5")).await;
    assert_eq!(
        (told.code, told.json()),
        (
            200,
            json!({"path": NODES, "query": "limit=5", "user": ["admin"], "secrets": [],
                "groups": ["system:masters", "system:authenticated"], "host": [format!("hooks.default.svc:{port}")]})
        )
    );
    // Who may what is decided here.
    let mut eve = server.client(Some("eve")).await;
    assert_eq!(eve.get(NODES).await.code, 403);
    assert_eq!(eve.get("/apis/metrics.example.com/v1beta1").await.code, 200);

    let list = discovered(&mut admin).await;
    assert_eq!(groups(&list).last(), Some(&"metrics.example.com"));
    let version = &list["items"].as_array().unwrap().last().unwrap()["versions"][0];
    assert_eq!(version["freshness"], "Current");
    assert_eq!(version["resources"][0]["responseKind"]["kind"], "NodeMetrics");
    let group = admin.get("/apis/metrics.example.com").await.json();
    assert_eq!(group["preferredVersion"]["groupVersion"], "metrics.example.com/v1beta1");
    let documents = admin.get("/openapi/v3").await.json();
    let url = documents["paths"]["apis/metrics.example.com/v1beta1"]["serverRelativeURL"].as_str();
    assert_eq!(admin.get(url.unwrap()).await.json()["query"], "hash=1");

    let map = admin
        .get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
        .await
        .json();
    assert_eq!(map["data"]["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    assert_eq!(
        map["data"]["client-ca-file"].as_str().map(str::as_bytes),
        Some(&authority[..])
    );

    admin.delete("/api/v1/namespaces/default/services/hooks").await;
    until(&server, "ServiceNotFound").await;
    let list = discovered(&mut admin).await;
    assert_eq!(
        list["items"].as_array().unwrap().last().unwrap()["versions"][0]["freshness"],
        "Stale"
    );
    admin.delete(&format!("{SERVICES}/v1beta1.metrics.example.com")).await;
    assert_eq!(admin.get(NODES).await.code, 404);
}

#[tokio::test]
async fn a_server_has_to_be_who_it_is_said_to_be() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let port = server.serve_beside(answer).await;
    let service = json!({"metadata": {"name": "hooks"}, "spec": {"type": "ExternalName", "externalName": "127.0.0.1"}});
    admin.create("/api/v1/namespaces/default/services", &service).await;
    let other = Server::start().await;
    let authority = std::fs::read(other.directory.path().join("ca.crt")).unwrap();
    admin.create(SERVICES, &api_service(port, &authority)).await;
    until(&server, "FailedDiscoveryCheck").await;
    let spec = json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": true}});
    let path = format!("{SERVICES}/v1beta1.metrics.example.com");
    assert_eq!(admin.merge(&path, &spec).await.code, 200);
    until(&server, "Passed").await;
    assert_eq!(admin.get(NODES).await.code, 200);
}
