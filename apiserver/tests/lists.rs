//! Lists and watches over TLS: what clients rely on when they keep a copy of what is there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, Server};
use tokio_tungstenite::tungstenite::protocol::Message;

/// Of a kind that the server itself keeps none of there.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn lease(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"holderIdentity": "v"}})
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn leases(client: &mut Client, query: &str) -> Value {
    let answer = client.get(&format!("{LEASES}?{query}")).await;
    assert_eq!(answer.code, 200, "{query}: {:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn options_that_do_not_fit_are_refused_in_upstreams_words() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let invalid = "ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, code, message) in [
        (
            "resourceVersionMatch=Exact",
            422,
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            422,
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersionMatch=Newest&resourceVersion=1",
            422,
            "resourceVersionMatch: Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        (
            "sendInitialEvents=true",
            422,
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            "watch=1&sendInitialEvents=true",
            422,
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            422,
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "resourceVersion=x",
            400,
            "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "labelSelector=a%3Db%3Dc",
            400,
            "found '=', expected: ',' or 'end of string'",
        ),
        ("fieldSelector=x", 400, "invalid selector: 'x'; can't understand 'x'"),
        (
            "fieldSelector=spec.x%3Dv",
            400,
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        let expected = if code == 422 {
            format!("{invalid}{message}")
        } else {
            message.to_owned()
        };
        let failure = client.get(&format!("{LEASES}?{query}")).await.failure();
        assert_eq!(failure, (code, expected), "{query}");
    }
    let pods = client.get("/api/v1/pods?fieldSelector=spec.x%3Dy").await.failure();
    assert_eq!(pods, (400, "field label not supported: spec.x".to_owned()));
    for method in ["HEAD", "OPTIONS"] {
        assert_eq!(client.send(method, LEASES, &[], "").await.code, 405, "{method}");
    }
}

#[tokio::test]
async fn revisions_mean_what_they_mean_upstream() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let first = client.create(LEASES, &lease("a")).await;
    let at = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    client.create(LEASES, &lease("b")).await;
    for (query, expected) in [
        ("resourceVersion=0".to_owned(), &["a", "b"][..]),
        (format!("resourceVersion={at}"), &["a", "b"]),
        (
            format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan"),
            &["a", "b"],
        ),
        (
            format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan&limit=9"),
            &["a", "b"],
        ),
        (format!("resourceVersion={at}&resourceVersionMatch=Exact"), &["a"]),
        (format!("resourceVersion={at}&limit=9"), &["a"]),
    ] {
        assert_eq!(names(&leases(&mut client, &query).await), expected, "{query}");
    }
    let (all, one) = (
        format!("{LEASES}?resourceVersion=999999"),
        format!("{LEASES}/a?resourceVersion=999999"),
    );
    // Each is waited for for three seconds.
    let mut other = server.admin().await;
    let (from_list, from_get) = tokio::join!(client.get(&all), other.get(&one));
    for (path, answer) in [(all, from_list), (one, from_get)] {
        assert_eq!(
            (answer.code, &answer.headers["retry-after"]),
            (504, &"1".parse().unwrap()),
            "{path}"
        );
        let status = answer.json();
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("Timeout: Too large resource version: 999999, current: "),
            "{message}"
        );
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    }
}

#[tokio::test]
async fn a_revision_that_comes_soon_is_waited_for() {
    let server = Server::start().await;
    let (mut client, mut writer) = (server.admin().await, server.admin().await);
    let first = writer.create(LEASES, &lease("a")).await;
    let at: u64 = first["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    // The server may write something by itself meanwhile: then the list comes sooner.
    let path = format!("{LEASES}?resourceVersion={}", at + 1);
    let (list, _) = tokio::join!(client.get(&path), async {
        tokio::task::yield_now().await;
        writer.create(LEASES, &lease("b")).await
    });
    assert_eq!(list.code, 200);
    let version = list.json()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    assert!(version.parse::<u64>().unwrap() > at, "{version}");
}

#[tokio::test]
async fn a_list_whose_revision_is_gone_can_go_on_without_it() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    for name in ["a", "b", "c", "d"] {
        client.create(LEASES, &lease(name)).await;
    }
    let first = leases(&mut client, "limit=2").await;
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    client.delete(&format!("{LEASES}/c")).await;
    // A server that has just been started knows no revision but the present.
    server.restart().await;
    let mut client = server.admin().await;
    let gone = client.get(&format!("{LEASES}?limit=1&continue={token}")).await;
    let status = gone.json();
    assert_eq!((gone.code, &status["reason"]), (410, &json!("Expired")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("use the continue token in this response"), "{message}");
    let inconsistent = status["metadata"]["continue"].as_str().unwrap();
    let rest = leases(&mut client, &format!("continue={inconsistent}")).await;
    assert_eq!(names(&rest), ["d"], "as it is now, after where the first piece ended");
    let both = client
        .get(&format!("{LEASES}?continue={token}&resourceVersion=7"))
        .await
        .failure();
    let why = "specifying resource version is not allowed when using continue";
    assert_eq!(both, (400, why.to_owned()));
    let old = client
        .get(&format!("{LEASES}?resourceVersion=1&resourceVersionMatch=Exact"))
        .await
        .failure();
    assert_eq!(
        old,
        (410, "The resourceVersion for the provided list is too old.".to_owned())
    );
    let strange = BASE64_URL_SAFE_NO_PAD.encode("{\"v\":\"meta.k8s.io/v1\",\"rv\":-5,\"start\":\"a\"}");
    assert_eq!(client.get(&format!("{LEASES}?continue={strange}")).await.code, 400);
}

#[tokio::test]
async fn one_object_is_watched_by_either_path() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for name in ["a", "b"] {
        client.create(LEASES, &lease(name)).await;
    }
    for path in [
        format!("{LEASES}?watch=1&fieldSelector=metadata.name%3Db"),
        "/apis/coordination.k8s.io/v1/watch/namespaces/default/leases/b".to_owned(),
    ] {
        let mut watching = server.admin().await;
        let mut watch = watching.watch(&path).await;
        assert_eq!(watch.line().await, "ADDED b", "{path}");
        for name in ["a", "b"] {
            let change = json!({"spec": {"holderIdentity": path}});
            client.merge(&format!("{LEASES}/{name}"), &change).await;
        }
        assert_eq!(watch.line().await, "MODIFIED b", "{path}");
    }
    let mut watch = client
        .watch("/apis/coordination.k8s.io/v1/watch/namespaces/default/leases")
        .await;
    assert_eq!(
        (watch.line().await, watch.line().await),
        ("ADDED a".into(), "ADDED b".into())
    );
}

#[tokio::test]
async fn a_watch_from_the_future_is_told_so() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = client.watch(&format!("{LEASES}?{query}&resourceVersion=999999")).await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(504))
    );
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn tables_and_metadata_are_watched() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for name in ["a", "b"] {
        client.create(LEASES, &lease(name)).await;
    }
    let mut watching = server.admin().await;
    let path = format!("{LEASES}?watch=1&includeObject=Object&allowWatchBookmarks=true&timeoutSeconds=1");
    let mut watch = watching.watch_as(&path, TABLE).await;
    let (first, second) = (watch.next().await.unwrap(), watch.next().await.unwrap());
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(
        second["object"]["columnDefinitions"],
        Value::Null,
        "columns are told once"
    );
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert_eq!(
        second["object"]["rows"][0]["object"]["spec"],
        json!({"holderIdentity": "v"})
    );
    let bookmark = watch.next().await.unwrap();
    assert_eq!(
        (&bookmark["type"], &bookmark["object"]["kind"]),
        (&json!("BOOKMARK"), &json!("Table"))
    );
    assert!(bookmark["object"]["metadata"]["resourceVersion"].is_string());

    let mut watching = server.admin().await;
    let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let mut watch = watching.watch_as(&format!("{LEASES}?watch=1"), partial).await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(event["object"]["spec"], Value::Null);
    let refused = client.send("GET", LEASES, &[("accept", partial)], "").await.failure();
    let why = "you requested PartialObjectMetadata, but the requested object is a list";
    assert_eq!(refused, (406, why.to_owned()));
}

#[tokio::test]
async fn a_browser_watches_over_websocket() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    client.create(LEASES, &lease("a")).await;
    let mut watching = server.admin().await;
    let mut socket = watching.watch_socket(&format!("{LEASES}?watch=1")).await;
    client.create(LEASES, &lease("b")).await;
    for name in ["a", "b"] {
        let message = socket.next().await.unwrap().unwrap();
        let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(
            (&event["type"], &event["object"]["metadata"]["name"]),
            (&json!("ADDED"), &json!(name))
        );
    }
    socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("x".into()));
    drop((client, watching));
    server.stop().await;
    assert!(
        socket.next().await.unwrap().unwrap().is_close(),
        "a stopping server ends its watches"
    );
}

#[tokio::test]
async fn answers_are_written_as_asked() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    client.create(LEASES, &lease("a")).await;
    let path = format!("{LEASES}/a");
    let yaml = client.send("GET", &path, &[("accept", "application/yaml")], "").await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let text = String::from_utf8(yaml.body.to_vec()).unwrap();
    assert!(
        text.starts_with("apiVersion: coordination.k8s.io/v1\n") && text.contains("\nspec:\n  holderIdentity: v\n"),
        "{text}"
    );
    for (path, agent, lines) in [
        (path.clone(), "kubectl/v1.33.0", 1),
        (format!("{path}?pretty=true"), "kubectl/v1.33.0", 2),
        (path.clone(), "curl/8.0", 2),
    ] {
        let answer = client.send("GET", &path, &[("user-agent", agent)], "").await;
        assert_eq!(answer.json()["spec"], json!({"holderIdentity": "v"}));
        assert_eq!(answer.body.contains(&b'\n'), lines > 1, "{path} {agent}");
    }
    let (accept, curl) = (("accept", "application/yaml"), ("user-agent", "curl/8.0"));
    for (headers, media_type, begin) in [
        (&[accept][..], "application/yaml", "apiVersion: v1\ncode: 404\n"),
        (
            &[curl],
            "application/json",
            "{\n  \"apiVersion\": \"v1\",\n  \"code\": 404,\n",
        ),
        (&[], "application/json", "{\"apiVersion\":\"v1\",\"code\":404,"),
        (
            &[("accept", "application/cbor")],
            "application/json",
            "{\"apiVersion\":\"v1\",\"code\":406,",
        ),
    ] {
        let answer = client.send("GET", &format!("{LEASES}/none"), headers, "").await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.headers["content-type"], media_type, "{headers:?}");
        assert!(text.starts_with(begin), "{text}");
    }
    let cbor = [("accept", "application/cbor"), ("content-type", "application/json")];
    let refused = client.send("POST", LEASES, &cbor, lease("new").to_string()).await;
    assert_eq!(
        (refused.code, client.get(&format!("{LEASES}/new")).await.code),
        (406, 404)
    );
    let watch = [accept];
    assert_eq!(
        client.send("GET", &format!("{LEASES}?watch=1"), &watch, "").await.code,
        406
    );
}

#[tokio::test]
async fn documents_are_kept_by_their_hash() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let index = client.get("/openapi/v3").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = client.get(&url).await;
    assert_eq!(document.headers["cache-control"], "public, immutable");
    let etag = document.headers["etag"].to_str().unwrap().to_owned();
    assert!(url.ends_with(&etag.replace('"', "")));
    let known = client.send("GET", &url, &[("if-none-match", &etag)], "").await;
    assert_eq!((known.code, known.body.len()), (304, 0));
    let moved = client.get("/openapi/v3/apis/apps/v1?hash=old").await;
    assert_eq!(
        (moved.code, moved.headers["location"].to_str().unwrap()),
        (301, url.as_str())
    );
    let v2 = client
        .send("GET", "/openapi/v2", &[("accept", "application/json")], "")
        .await
        .json();
    assert_eq!(
        v2["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"],
        "#/definitions/io.k8s.api.core.v1.PodSpec"
    );

    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let discovered = client.send("GET", "/apis", &[("accept", accept)], "").await;
    assert_eq!(discovered.headers["content-type"], accept);
    let etag = discovered.headers["etag"].to_str().unwrap();
    let known = client
        .send("GET", "/apis", &[("accept", accept), ("if-none-match", etag)], "")
        .await;
    assert_eq!(known.code, 304);
    let root = client.get("/").await.json();
    assert!(root["paths"].as_array().unwrap().contains(&json!("/apis/apps/v1")));
}
