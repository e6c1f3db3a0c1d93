//! The API over TLS, as a client meets it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Without the config map that each namespace has by itself.
const OWN: &str = "fieldSelector=metadata.name!%3Dkube-root-ca.crt";

fn map(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx:stable"}]}})
}

/// Without the config map that each namespace has by itself.
fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .filter(|&name| name != "kube-root-ca.crt")
        .collect()
}

fn named<'a>(list: &'a Value, name: &str, name_of: impl Fn(&Value) -> &Value) -> &'a Value {
    let mut items = list.as_array().unwrap().iter();
    items.find(|item| name_of(item) == name).unwrap()
}

async fn bind(client: &mut Client, name: &str) {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}});
    let answer = client.post(&format!("{PODS}/{name}/binding"), &binding).await;
    assert_eq!(answer.code, 201, "{:?}", answer.body);
}

#[tokio::test]
async fn strangers_see_health_and_version_alone() {
    let server = Server::start().await;
    let mut nobody = server.client(None).await;
    for (path, code) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/readyz/shutdown", 200),
        ("/readyz/nonsense", 404),
        ("/version", 200),
        ("/api", 401),
        ("/api/v1/pods", 401),
        ("/openapi/v3", 401),
        ("/nonsense", 401),
    ] {
        assert_eq!(nobody.get(path).await.code, code, "{path}");
    }
    let verbose = nobody.get("/readyz?verbose&exclude=shutdown").await;
    assert_eq!(
        verbose.body,
        "[+]ping ok\n[+]shutdown excluded: ok\nreadyz check passed\n"
    );
    assert_eq!(nobody.post("/healthz", &json!({})).await.failure().0, 405);
    let mut eve = server.client(Some("eve")).await;
    assert_eq!(eve.get("/api").await.code, 200);
    let (code, message) = eve.get(PODS).await.failure();
    assert_eq!(code, 403);
    let why =
        "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!(message, why);
    let mut node = server.client(Some("node")).await;
    assert_eq!(node.get("/api/v1/pods").await.code, 403, "of all nodes");
    assert_eq!(
        node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.code,
        200
    );
    assert_eq!(node.post(MAPS, &map("a", json!({}))).await.code, 403);
}

#[tokio::test]
async fn an_object_lives_its_life() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    let created = client.create(MAPS, &map("a", json!({}))).await;
    assert_eq!(
        client.post(MAPS, &map("a", json!({}))).await.failure().1,
        "configmaps \"a\" already exists"
    );
    let path = format!("{MAPS}/a");
    assert_eq!(client.get(&path).await.json(), created);

    let mut changed = created.clone();
    changed["data"]["k"] = "w".into();
    let updated = client.put(&path, &changed).await.json();
    assert_eq!(
        (&updated["data"]["k"], &updated["metadata"]["uid"]),
        (&json!("w"), &created["metadata"]["uid"])
    );
    let (code, message) = client.put(&path, &changed).await.failure();
    assert_eq!(code, 409);
    assert!(message.starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been modified"));
    let same = client.put(&path, &updated).await.json();
    assert_eq!(same, updated, "what changes nothing writes nothing");

    let patched = client
        .merge(&path, &json!({"data": {"k": null, "l": "x"}}))
        .await
        .json();
    assert_eq!(patched["data"], json!({"l": "x"}));
    drop(client);
    server.restart().await;
    let mut client = server.admin().await;
    assert_eq!(client.get(&path).await.json(), patched, "it outlives the server");

    let deleted = client.delete(&path).await.json();
    assert_eq!(
        (&deleted["status"], &deleted["details"]["name"]),
        (&json!("Success"), &json!("a"))
    );
    assert_eq!(
        client.get(&path).await.failure(),
        (404, "configmaps \"a\" not found".to_owned())
    );
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let json = [("content-type", "application/json")];
    let large = format!(
        "{{\"metadata\":{{\"name\":\"a\"}},\"data\":{{\"k\":\"{}\"}}}}",
        "x".repeat(4 << 20)
    );
    for (path, headers, body, code, reason) in [
        (MAPS, &json[..], "{", 400, "BadRequest"),
        (MAPS, &json[..], "", 400, "BadRequest"),
        (
            MAPS,
            &json[..],
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}",
            400,
            "BadRequest",
        ),
        (MAPS, &json[..], "{\"data\":{}}", 422, "Invalid"),
        (MAPS, &json[..], "{\"metadata\":{\"name\":\"A\"}}", 422, "Invalid"),
        (MAPS, &json[..], large.as_str(), 413, "RequestEntityTooLarge"),
        (
            MAPS,
            &[("content-type", "application/cbor")][..],
            "x",
            415,
            "UnsupportedMediaType",
        ),
        ("/api/v1/configmaps", &json[..], "{}", 405, "MethodNotAllowed"),
        (
            "/api/v1/namespaces/none/configmaps",
            &json[..],
            "{\"metadata\":{\"name\":\"a\"}}",
            404,
            "NotFound",
        ),
        ("/api/v1/namespaces/default/nonsense", &json[..], "{}", 404, "NotFound"),
    ] {
        let answer = client.send("POST", path, headers, body.to_owned()).await;
        let shown = answer.json();
        assert_eq!(
            (answer.code, shown["reason"].as_str()),
            (code, Some(reason)),
            "{path} {:.60}: {shown}",
            body
        );
        if code == 413 {
            // The rest of that body is still on its way: the connection isn't used again.
            client = server.admin().await;
        }
    }
    for query in [
        "limit=x",
        "labelSelector=a=b=c",
        "fieldSelector=data.k=v",
        "continue=zzz",
        "resourceVersion=x",
        "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0",
    ] {
        assert_eq!(client.get(&format!("{MAPS}?{query}")).await.code, 400, "{query}");
    }
    let refused = client
        .send("GET", MAPS, &[("accept", "application/vnd.kubernetes.protobuf")], "")
        .await;
    assert_eq!(refused.code, 406);
}

#[tokio::test]
async fn options_of_writes_are_heeded() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let answer = client.post(&format!("{MAPS}?dryRun=All"), &map("dry", json!({}))).await;
    assert_eq!((answer.code, client.get(&format!("{MAPS}/dry")).await.code), (201, 404));

    let generated = json!({"metadata": {"generateName": "web-"}});
    let (one, two) = (
        client.create(MAPS, &generated).await,
        client.create(MAPS, &generated).await,
    );
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    assert_eq!(one["metadata"]["name"].as_str().unwrap().len(), "web-".len() + 5);

    let mut unknown = pod("p");
    unknown["spec"]["contaners"] = json!([]);
    let strict = client.post(&format!("{PODS}?fieldValidation=Strict"), &unknown).await;
    let (code, message) = strict.failure();
    assert_eq!(code, 400);
    assert!(message.contains("unknown field \"spec.contaners\""), "{message}");
    let warned = client.post(PODS, &unknown).await;
    assert_eq!(warned.code, 201);
    assert!(
        warned.headers["warning"]
            .to_str()
            .unwrap()
            .starts_with("299 - \"unknown field")
    );
    let quiet = client
        .post(&format!("{PODS}?fieldValidation=Ignore&dryRun=All"), &pod("q"))
        .await;
    assert!(!quiet.headers.contains_key("warning"));

    let yaml = "metadata:\n  name: y\ndata:\n  k: v\n";
    let answer = client
        .send("POST", MAPS, &[("content-type", "application/yaml")], yaml)
        .await;
    assert_eq!((answer.code, &answer.json()["data"]), (201, &json!({"k": "v"})));

    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("content-type", "application/json"), ("traceparent", trace)];
    let traced = client
        .send("POST", PODS, &headers, pod("traced").to_string())
        .await
        .json();
    let annotation = traced["metadata"]["annotations"]["minik.dev/traceparent"]
        .as_str()
        .unwrap();
    assert_eq!(annotation[..36], trace[..36]);
}

#[tokio::test]
async fn pods_are_bound_and_go_gracefully() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for name in ["bound", "unbound"] {
        client.create(PODS, &pod(name)).await;
    }
    bind(&mut client, "bound").await;
    let bound = client.get(&format!("{PODS}/bound")).await.json();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let again = json!({"target": {"kind": "Node", "name": "n2"}});
    assert_eq!(client.post(&format!("{PODS}/bound/binding"), &again).await.code, 409);

    let mut status = bound.clone();
    status["status"]["phase"] = "Running".into();
    status["spec"]["nodeName"] = "elsewhere".into();
    let updated = client.put(&format!("{PODS}/bound/status"), &status).await.json();
    assert_eq!(
        (&updated["status"]["phase"], &updated["spec"]["nodeName"]),
        (&json!("Running"), &json!("n1"))
    );

    client.delete(&format!("{PODS}/unbound")).await;
    assert_eq!(
        client.get(&format!("{PODS}/unbound")).await.code,
        404,
        "nobody has to be waited for"
    );
    let marked = client.delete(&format!("{PODS}/bound")).await.json();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let again = client.delete(&format!("{PODS}/bound")).await.json();
    assert_eq!(
        again["metadata"]["deletionTimestamp"],
        marked["metadata"]["deletionTimestamp"]
    );
    let sooner = client
        .delete(&format!("{PODS}/bound?gracePeriodSeconds=5"))
        .await
        .json();
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "another"}});
    let headers = [("content-type", "application/json")];
    let path = format!("{PODS}/bound");
    assert_eq!(
        client.send("DELETE", &path, &headers, options.to_string()).await.code,
        409
    );
    let options = json!({"gracePeriodSeconds": 0});
    assert_eq!(
        client.send("DELETE", &path, &headers, options.to_string()).await.code,
        200
    );
    assert_eq!(client.get(&path).await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut held = map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    client.create(MAPS, &held).await;
    let path = format!("{MAPS}/held");
    let marked = client.delete(&path).await.json();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    assert_eq!(
        client.merge(&path, &more).await.code,
        422,
        "no finalizer is added to what is deleted"
    );
    assert_eq!(
        client
            .merge(&path, &json!({"metadata": {"finalizers": null}}))
            .await
            .code,
        200
    );
    assert_eq!(client.get(&path).await.code, 404);
}

#[tokio::test]
async fn a_deleted_namespace_takes_nothing_new_and_waits_to_be_finalized() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    client
        .create("/api/v1/namespaces", &json!({"metadata": {"name": "foo"}}))
        .await;
    let mut other = server.admin().await;
    let mut watch = other
        .watch("/api/v1/namespaces?watch=1&fieldSelector=metadata.name=foo")
        .await;
    assert_eq!(watch.line().await, "ADDED foo");
    let mut marked = client.delete("/api/v1/namespaces/foo").await.json();
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(watch.line().await, "MODIFIED foo");
    let maps = "/api/v1/namespaces/foo/configmaps";
    let (code, message) = client.post(maps, &map("late", json!({}))).await.failure();
    assert_eq!(code, 403);
    assert!(message.ends_with("unable to create new content in namespace foo because it is being terminated"));
    marked["spec"]["finalizers"] = json!([]);
    let finalized = client.put("/api/v1/namespaces/foo/finalize", &marked).await;
    assert_eq!(finalized.code, 200, "{:?}", finalized.body);
    assert_eq!(watch.line().await, "DELETED foo");
    assert_eq!(client.get("/api/v1/namespaces/foo").await.code, 404);
    let (code, message) = client.delete("/api/v1/namespaces/default").await.failure();
    assert_eq!(
        (code, message.contains("this namespace may not be deleted")),
        (403, true)
    );
}

#[tokio::test]
async fn lists_stay_consistent_over_their_pieces() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for n in 0..7 {
        client
            .create(MAPS, &map(&format!("m{n}"), json!({"odd": (n % 2 == 1).to_string()})))
            .await;
    }
    let first = client.get(&format!("{MAPS}?limit=4")).await.json();
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["m0", "m1", "m2"], &json!(4))
    );
    client.delete(&format!("{MAPS}/m3")).await;
    client.create(MAPS, &map("m31", json!({}))).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = client.get(&format!("{MAPS}?limit=3&continue={token}")).await.json();
    assert_eq!(names(&second), ["m3", "m4", "m5"], "as it was when the list began");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let at = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = client
        .get(&format!("{MAPS}?resourceVersion={at}&resourceVersionMatch=Exact"))
        .await
        .json();
    assert_eq!(names(&exact).len(), 7);
    let future = client.get(&format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!(
        (future.code, &future.json()["details"]["retryAfterSeconds"]),
        (504, &json!(1))
    );
    let odd = client.get(&format!("{MAPS}?labelSelector=odd%3Dtrue")).await.json();
    assert_eq!(names(&odd), ["m1", "m5"]);
    let one = client
        .get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm5"))
        .await
        .json();
    assert_eq!(names(&one), ["m5"]);
    let deleted = client
        .send("DELETE", &format!("{MAPS}?labelSelector=odd%3Dtrue"), &[], "")
        .await
        .json();
    assert_eq!(names(&deleted), ["m1", "m5"]);
    let left = client.get(MAPS).await.json();
    assert_eq!(names(&left), ["m0", "m2", "m31", "m4", "m6"]);
}

#[tokio::test]
async fn watches_show_what_selectors_select() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let created = client.create(MAPS, &map("a", json!({"app": "x"}))).await;
    let since = created["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut other = server.admin().await;
    let mut watch = other
        .watch(&format!("{MAPS}?watch=1&resourceVersion={since}&labelSelector=app%3Dx"))
        .await;
    let path = format!("{MAPS}/a");
    client.merge(&path, &json!({"data": {"k": "w"}})).await;
    client
        .merge(&path, &json!({"metadata": {"labels": {"app": "y"}}}))
        .await;
    client.merge(&path, &json!({"data": {"k": "unseen"}})).await;
    client
        .merge(&path, &json!({"metadata": {"labels": {"app": "x"}}}))
        .await;
    client.delete(&path).await;
    let mut last = since.parse::<u64>().unwrap();
    for expected in ["MODIFIED", "DELETED", "ADDED", "DELETED"] {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], expected);
        let revision: u64 = event["object"]["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(revision > last, "{event}");
        last = revision;
    }
}

#[tokio::test]
async fn watches_begin_and_end_as_asked() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    client.create(MAPS, &map("a", json!({}))).await;
    let query =
        "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let mut watch = client.watch(&format!("{MAPS}?{OWN}&{query}")).await;
    assert_eq!(watch.line().await, "ADDED a");
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert_eq!(
        watch.next().await.unwrap()["type"],
        "BOOKMARK",
        "the last word before the time is over"
    );
    assert_eq!(watch.next().await, None);

    let mut client = server.admin().await;
    let mut endless = client.watch(&format!("{MAPS}?{OWN}&watch=1")).await;
    assert_eq!(endless.line().await, "ADDED a");
    server.restart().await;
    assert_eq!(endless.next().await, None, "a stopping server ends its watches");

    let mut client = server.admin().await;
    let mut old = client.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    let gone = old.next().await.unwrap();
    assert_eq!((&gone["type"], &gone["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(old.next().await, None);
}

#[tokio::test]
async fn objects_come_in_the_form_that_is_asked_for() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    client.create(PODS, &pod("p")).await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let answer = client.send("GET", PODS, &[("accept", table)], "").await.json();
    assert_eq!(
        (&answer["kind"], &answer["rows"][0]["cells"][0]),
        (&json!("Table"), &json!("p"))
    );
    assert_eq!(answer["columnDefinitions"][0]["name"], "Name");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let answer = client.send("GET", PODS, &[("accept", partial)], "").await.json();
    assert_eq!(
        (&answer["items"][0]["metadata"]["name"], &answer["items"][0]["spec"]),
        (&json!("p"), &Value::Null)
    );

    let large = json!({"metadata": {"name": "large"}, "data": {"k": "x".repeat(200_000)}});
    client.create(MAPS, &large).await;
    let packed = client
        .send("GET", &format!("{MAPS}/large"), &[("accept-encoding", "gzip")], "")
        .await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed.body), &mut text).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["data"], large["data"]);
}

#[tokio::test]
async fn clients_find_their_way() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    assert_eq!(client.get("/version").await.json()["minor"], "36");
    let core = client.get("/api/v1").await.json();
    let pods = core["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "pods")
        .unwrap();
    assert_eq!((&pods["kind"], &pods["shortNames"]), (&json!("Pod"), &json!(["po"])));
    let groups = client.get("/apis").await.json();
    let group = named(&groups["groups"], "coordination.k8s.io", |group| &group["name"]);
    assert_eq!(group["versions"][0]["version"], "v1");
    assert_eq!(
        client.get("/apis/coordination.k8s.io").await.json()["preferredVersion"]["version"],
        "v1"
    );
    assert_eq!(
        client.get("/apis/coordination.k8s.io/v1").await.json()["resources"][0]["name"],
        "leases"
    );
    assert_eq!(client.get("/apis/nonsense").await.code, 404);
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let answer = client.send("GET", "/apis", &[("accept", aggregated)], "").await;
    assert!(
        answer.headers["content-type"]
            .to_str()
            .unwrap()
            .contains("APIGroupDiscoveryList")
    );
    let discovered = answer.json();
    let group = named(&discovered["items"], "coordination.k8s.io", |group| {
        &group["metadata"]["name"]
    });
    assert_eq!(group["versions"][0]["resources"][0]["resource"], "leases");
    let index = client.get("/openapi/v3").await.json();
    let url = index["paths"]["api/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = client.get(&url).await.json();
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Pod");
}

#[tokio::test]
async fn services_get_addresses() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let services = "/api/v1/namespaces/default/services";
    let own = client.get(&format!("{services}/kubernetes")).await.json();
    assert_eq!(own["spec"]["clusterIP"], "10.96.0.1");
    let web = json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let web = client.create(services, &web).await;
    assert_eq!(
        (&web["spec"]["clusterIP"], &web["spec"]["clusterIPs"]),
        (&json!("10.96.0.2"), &json!(["10.96.0.2"]))
    );
    assert_eq!(web["spec"]["ports"][0]["nodePort"], 30000);
    let mut taken = json!({"metadata": {"name": "b"}, "spec": {"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}});
    assert_eq!(client.post(services, &taken).await.code, 422);
    taken["spec"]["clusterIP"] = "10.96.0.9".into();
    client.create(services, &taken).await;
}
