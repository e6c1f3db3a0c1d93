//! Logs and streams are the kubelet's, passed on byte for byte.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use support::{Client, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A kubelet that answers with what it was asked, and echoes streams. It trusts nobody without a certificate.
async fn start_kubelet(directory: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(support::roots(directory));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .unwrap();
    let (chain, key) = support::identity(directory, "server");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), service_fn(kubelet));
                let _ = connection.with_upgrades().await;
            });
        }
    });
    port
}

async fn kubelet(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let asked = request.uri().to_string();
    let answer = Response::builder();
    if asked.contains("/missing") {
        return Ok(answer
            .status(400)
            .body("container \"c\" in pod \"missing\" is waiting to start".into())
            .unwrap());
    }
    let Some(protocol) = request.headers().get("upgrade").cloned() else {
        return Ok(answer.body(format!("{asked}\n").into()).unwrap());
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        stream.write_all(format!("{asked}\n").as_bytes()).await.unwrap();
        let (mut from, mut to) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let answer = answer
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", protocol);
    Ok(answer
        .header("sec-websocket-protocol", "v5.channel.k8s.io")
        .body(Full::default())
        .unwrap())
}

async fn start() -> (Server, Client) {
    let server = Server::start().await;
    let port = start_kubelet(server.directory.path()).await;
    let mut client = server.admin().await;
    client
        .create("/api/v1/nodes", &json!({"metadata": {"name": "n1"}}))
        .await;
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    assert_eq!(client.merge("/api/v1/nodes/n1/status", &status).await.code, 200);
    for name in ["p", "missing", "unbound"] {
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "image": "i"}, {"name": "d", "image": "i"}]}});
        client.create("/api/v1/namespaces/default/pods", &pod).await;
        if name != "unbound" {
            let binding = json!({"target": {"kind": "Node", "name": "n1"}});
            let path = format!("/api/v1/namespaces/default/pods/{name}/binding");
            assert_eq!(client.post(&path, &binding).await.code, 201);
        }
    }
    (server, client)
}

#[tokio::test]
async fn logs_come_from_the_kubelet() {
    let (_server, mut client) = start().await;
    let log = |name: &str, query: &str| format!("/api/v1/namespaces/default/pods/{name}/log?{query}");
    let answer = client.get(&log("p", "container=c&tailLines=5")).await;
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.body, "/containerLogs/default/p/c?container=c&tailLines=5\n");
    let (code, message) = client.get(&log("p", "")).await.failure();
    assert_eq!(
        (code, message.as_str()),
        (
            400,
            "a container name must be specified for pod p, choose one of: [c d]"
        )
    );
    assert_eq!(
        client.get(&log("p", "container=x")).await.failure().1,
        "container x is not valid for pod p"
    );
    let waiting = client.get(&log("missing", "container=c")).await.failure();
    assert_eq!(
        waiting,
        (400, "container \"c\" in pod \"missing\" is waiting to start".to_owned())
    );
    assert_eq!(client.get(&log("unbound", "container=c")).await.body, "");
}

#[tokio::test]
async fn streams_are_joined() {
    let (server, mut client) = start().await;
    let exec = "/api/v1/namespaces/default/pods/p/exec?container=c&command=sh&stdin=true&stdout=true";
    let refused = client.get(exec).await.failure();
    assert_eq!(refused, (400, "Upgrade request required".to_owned()));
    for (method, protocol) in [("GET", "websocket"), ("POST", "SPDY/3.1")] {
        let mut client = server.admin().await;
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", protocol),
            ("sec-websocket-key", "x"),
        ];
        let mut answer = client.open(method, exec, &headers, "").await;
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
        let asked = b"/exec/default/p/c?command=sh&input=1&output=1\n";
        let mut read = vec![0; asked.len()];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(asked));
        let sent = vec![7; 100_000];
        let mut echoed = vec![0; sent.len()];
        let (mut from, mut to) = tokio::io::split(stream);
        let (wrote, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut echoed));
        wrote.and(read).unwrap();
        assert_eq!(echoed, sent);
    }
    let mut client = server.admin().await;
    let headers = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    let unbound = "/api/v1/namespaces/default/pods/unbound/portforward";
    let answer = client.send("POST", unbound, &headers, "").await;
    assert_eq!(
        answer.failure(),
        (400, "pod unbound does not have a host assigned".to_owned())
    );
}

#[tokio::test]
async fn requests_to_a_node_are_passed_on_to_its_kubelet() {
    let (server, mut client) = start().await;
    let proxy = "/api/v1/nodes/n1/proxy";
    assert_eq!(
        client.get(&format!("{proxy}/a%2Fb//c?watch=x&d")).await.body,
        "/a%2Fb//c?watch=x&d\n"
    );
    let moved = client.get(&format!("{proxy}?a=b")).await;
    assert_eq!(
        (moved.code, &moved.headers["location"]),
        (301, &format!("{proxy}/?a=b").parse().unwrap())
    );
    assert_eq!(client.post(&format!("{proxy}/run"), &json!({})).await.body, "/run\n");
    let refused = client.get(&format!("{proxy}/missing")).await;
    assert_eq!(
        (refused.code, std::str::from_utf8(&refused.body).unwrap()),
        (400, "container \"c\" in pod \"missing\" is waiting to start")
    );
    let (code, message) = client.get("/api/v1/nodes/n1:1/proxy/").await.failure();
    assert_eq!((code, message.as_str()), (400, "address not allowed"));

    let headers = [("connection", "Upgrade"), ("upgrade", "echo")];
    let mut other = server.admin().await;
    let mut answer = other.open("GET", &format!("{proxy}/echo"), &headers, "").await;
    assert_eq!(answer.status(), 101);
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    stream.write_all(b"hello").await.unwrap();
    let mut read = vec![0; "/echo\nhello".len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&read), "/echo\nhello");
}

#[tokio::test]
async fn pods_and_services_without_an_address_are_not_asked() {
    let (_server, mut client) = start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let (code, message) = client.get(&format!("{pods}/p/proxy/")).await.failure();
    assert_eq!((code, message.as_str()), (400, "pod p has no address yet"));
    let status = json!({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
    assert_eq!(client.merge(&format!("{pods}/p/status"), &status).await.code, 200);
    let (code, message) = client.get(&format!("{pods}/p:80/proxy/")).await.failure();
    assert_eq!((code, message.as_str()), (400, "address not allowed"));
    let (code, message) = client.get(&format!("{pods}/ftp:p:80/proxy/")).await.failure();
    assert_eq!((code, message.as_str()), (400, "invalid pod request \"ftp:p:80\""));
    let (code, message) = client
        .get("/api/v1/namespaces/default/services/https:kubernetes:https/proxy/")
        .await
        .failure();
    assert_eq!(
        (code, message.as_str()),
        (503, "no endpoints available for service \"kubernetes\"")
    );
}

#[tokio::test]
async fn streams_are_counted_until_they_end() {
    let (mut server, _) = start().await;
    // So that a user has three of them.
    server.limits.max_connections = Some(12);
    server.restart().await;
    let exec = "/api/v1/namespaces/default/pods/p/exec?container=c&command=cat&stdin=1&stdout=1";
    let upgrade = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut client = server.admin().await;
        let mut answer = client.open("POST", exec, &upgrade, "").await;
        assert_eq!(answer.status(), 101);
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
        let mut line = [0; 6];
        stream.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"/exec/");
        streams.push(stream);
    }
    let mut client = server.admin().await;
    let refused = client.open("POST", exec, &upgrade, "").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let mut ended = streams.pop().unwrap();
    ended.shutdown().await.unwrap();
    // The other side has no goodbye.
    let _ = ended.read_to_end(&mut Vec::new()).await;
    let mut client = server.admin().await;
    assert_eq!(client.open("POST", exec, &upgrade, "").await.status(), 101);
}
