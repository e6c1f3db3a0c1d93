//! Who floods harms nobody but themselves: requests, watches, connections, bodies, heads that never end, streams that are reset.

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use http_body_util::{Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use jiff::SignedDuration;
use serde_json::json;
use support::{Client, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// The seats of one user for what is short.
const SHORT_SEATS: usize = 200;
/// The seats of one user for watches.
const WATCH_SEATS: usize = 2000;
/// Requests at once on one connection.
const STREAMS: usize = 1000;

/// A server on which people may do everything: they aren't the cluster's own programs, which have seats of their own.
async fn start() -> (Server, Client) {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let binding = json!({"metadata": {"name": "people"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "people"}]});
    admin
        .create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding)
        .await;
    (server, admin)
}

/// The answer that another of the people gets.
async fn another(admin: &mut Client, path: &str) -> u16 {
    let as_bob = [("impersonate-user", "bob"), ("impersonate-group", "people")];
    admin.open("GET", path, &as_bob, "").await.status().as_u16()
}

fn assert_refused(answer: &Response<Incoming>) {
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_thousand_requests_at_once_keep_nobody_out() {
    let (server, mut admin) = start().await;
    let mut eve = server.many("eve").await;
    let mut answers = FuturesUnordered::new();
    for _ in 0..STREAMS {
        // Each says that it has a small body, and doesn't send it.
        let body = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let request = Request::post(MAPS).header("content-type", "application/json");
        let request = request.header("content-length", "10").body(Box::pin(body));
        eve.ready().await.expect("the connection stays");
        answers.push(eve.send_request(request.expect("a request")));
    }
    for _ in 0..STREAMS - SHORT_SEATS {
        let answer = answers.next().await.expect("there are more");
        assert_refused(&answer.expect("an answer"));
    }
    assert_eq!(another(&mut admin, MAPS).await, 200);
    assert_eq!(answers.len(), SHORT_SEATS, "these are still waited for");
}

#[tokio::test]
async fn idle_watches_end_at_a_limit() {
    let (server, mut admin) = start().await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..=WATCH_SEATS / STREAMS {
        let mut eve = server.many("eve").await;
        let mut answers = FuturesUnordered::new();
        for _ in 0..STREAMS {
            let request = Request::get(format!("{MAPS}?watch=1&resourceVersion=1"));
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            eve.ready().await.expect("the connection stays");
            answers.push(eve.send_request(request));
        }
        while let Some(answer) = answers.next().await {
            let answer = answer.expect("an answer");
            if answer.status() == 200 {
                open.push(answer);
            } else {
                assert_refused(&answer);
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (WATCH_SEATS, STREAMS));
    assert_eq!(another(&mut admin, &format!("{MAPS}?watch=1")).await, 200);
}

#[tokio::test]
async fn a_body_has_an_end() {
    let (server, mut admin) = start().await;
    for bytes in [3 * 1024 * 1024 + 1, 6_000_000] {
        let mut eve = server.client(Some("eve")).await;
        let map = json!({"metadata": {"name": "large"}, "data": {"k": "v".repeat(bytes)}});
        let answer = eve.post(MAPS, &map).await;
        assert_eq!((answer.code, answer.json()["code"].as_u64()), (413, Some(413)));
    }
    assert_eq!(admin.get(&format!("{MAPS}/large")).await.code, 404);
}

#[tokio::test]
async fn who_is_slow_is_cut_off() {
    let (mut server, _) = start().await;
    server.limits.head_timeout = SignedDuration::from_millis(300);
    server.limits.body_timeout = SignedDuration::from_millis(200);
    server.restart().await;
    let mut silent = server.stream(Some("eve")).await;
    let mut slow = server.stream(Some("eve")).await;
    slow.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\nx-more:")
        .await
        .expect("the server reads");
    let mut speechless = server.agreed(Some("eve"), &[b"h2"]).await;
    speechless.write_all(b"PRI * HT").await.expect("the server reads");
    let mut eve = server.client(Some("eve")).await;
    assert_eq!(eve.get(MAPS).await.code, 200, "they keep nobody out");
    for stream in [&mut silent, &mut slow, &mut speechless] {
        let mut told = Vec::new();
        // The server needn't say goodbye.
        let _ = stream.read_to_end(&mut told).await;
        assert!(!told.starts_with(b"HTTP/1.1 200"), "{told:?}");
    }
    let mut slow = server.stream(Some("eve")).await;
    let head =
        format!("POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.expect("the server reads");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.expect("the server answers");
    assert_eq!(std::str::from_utf8(&answer), Ok("HTTP/1.1 408"));
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let (mut server, _) = start().await;
    server.limits.max_connections = Some(20);
    server.restart().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut eve = server.client(Some("eve")).await;
        assert_eq!(eve.get(MAPS).await.code, 200);
        clients.push(eve);
    }
    let mut eve = server.client(Some("eve")).await;
    let refused = eve.get(MAPS).await;
    assert_eq!(
        (refused.code, refused.json()["reason"].as_str()),
        (429, Some("TooManyRequests"))
    );
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["connection"], "close");
    assert_eq!(server.admin().await.get(MAPS).await.code, 200, "others get in");
}

/// A request and at once its end, over and over (CVE-2023-44487).
#[tokio::test]
async fn streams_that_are_reset_end_their_connection() {
    let (server, mut admin) = start().await;
    let mut stream = server.agreed(Some("eve"), &[b"h2"]).await;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for number in 0..20_000_u32 {
        let id = (2 * number + 1).to_be_bytes();
        // HEADERS that end the headers and the stream: GET, https, / and an authority (RFC 7541, appendix A).
        frames.extend_from_slice(b"\0\0\x06\x01\x05");
        frames.extend_from_slice(&id);
        frames.extend_from_slice(b"\x82\x87\x84\x41\x01x");
        // RST_STREAM with CANCEL.
        frames.extend_from_slice(b"\0\0\x04\x03\0");
        frames.extend_from_slice(&id);
        frames.extend_from_slice(b"\0\0\0\x08");
    }
    let (mut from, mut to) = tokio::io::split(&mut stream);
    // It is cut off in between: then the rest can't be written.
    let writing = async {
        let _ = to.write_all(&frames).await;
        let _ = to.flush().await;
    };
    let mut told = Vec::new();
    let reading = async {
        let _ = from.read_to_end(&mut told).await;
    };
    tokio::join!(writing, reading);
    // GOAWAY with ENHANCE_YOUR_CALM.
    let calm = told.windows(4).any(|four| four == [0, 0, 0, 0xb]);
    assert!(calm, "the server has enough of it: {told:?}");
    assert_eq!(another(&mut admin, MAPS).await, 200);
}
