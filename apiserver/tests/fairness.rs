//! Who floods is answered 429, and the others go on; events go when their time is over.

mod support;

use jiff::SignedDuration;
use serde_json::{Value, json};
use support::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// The seats of one user for large bodies.
const LARGE_SEATS: usize = 16;

/// Begins a large request that never ends, and waits until its body is asked for: then it has its seat.
async fn begin(server: &Server, user: &str) -> impl AsyncReadExt + AsyncWriteExt + Unpin {
    let mut stream = server.stream(Some(user)).await;
    let head = format!(
        "POST {MAPS} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\
         expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("the server answers");
    assert_eq!(std::str::from_utf8(&answer), Ok("HTTP/1.1 100"));
    stream
}

#[tokio::test]
async fn who_floods_is_refused_alone() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let binding = json!({"metadata": {"name": "eve"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}]});
    admin
        .create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding)
        .await;
    let mut flood = Vec::new();
    for _ in 0..LARGE_SEATS {
        flood.push(begin(&server, "eve").await);
    }
    let mut eve = server.client(Some("eve")).await;
    let large = json!({"metadata": {"name": "large"}, "data": {"k": "v".repeat(100_000)}});
    let refused = eve.post(MAPS, &large).await;
    let status = refused.json();
    assert_eq!((refused.code, &status["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert_eq!(
        admin.post(MAPS, &large).await.code,
        201,
        "others have seats of their own"
    );
    let mut eve = server.client(Some("eve")).await;
    assert_eq!(eve.get(MAPS).await.code, 200, "what is short has seats of its own");
    let mut stranger = server.client(None).await;
    assert_eq!(stranger.get("/readyz").await.code, 200);
}

#[tokio::test]
async fn heads_have_an_end() {
    let server = Server::start().await;
    let long = format!("GET /version?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET /version HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (head, expected) in [(long, "HTTP/1.1 414"), (many, "HTTP/1.1 431")] {
        let mut stream = server.stream(None).await;
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("the server answers");
        assert_eq!(std::str::from_utf8(&answer), Ok(expected));
    }
}

#[tokio::test]
async fn events_end() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "Test",
        "lastTimestamp": "2020-01-01T00:00:00Z"});
    client.create("/api/v1/namespaces/default/events", &event).await;
    server.event_ttl = SignedDuration::from_secs(3);
    server.restart().await;
    let mut client = server.admin().await;
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let list = client.get(events).await.json();
    let since = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let mut watch = client
        .watch(&format!("{events}?watch=1&resourceVersion={since}&timeoutSeconds=300"))
        .await;
    // Slower than three seconds, we find it gone: as well.
    if list["items"] != json!([]) {
        assert_eq!(watch.line().await, "DELETED e");
    }
    let mut other = server.admin().await;
    other
        .create("/api/v1/namespaces/default/events", &named("late", &event))
        .await;
    assert_eq!(watch.line().await, "ADDED late");
    assert_eq!(watch.line().await, "DELETED late");
    assert_eq!(other.get(&format!("{events}/late")).await.code, 404);
}

fn named(name: &str, event: &Value) -> Value {
    let mut event = event.clone();
    event["metadata"]["name"] = json!(name);
    event
}
