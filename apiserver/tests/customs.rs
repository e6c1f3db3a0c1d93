//! Custom kinds over the wire: defined, served, validated, shown, scaled and taken away while the server runs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Server, Watch};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
/// No wait here takes long; this is for a machine that does a lot besides.
const PATIENCE: Duration = Duration::from_secs(60);

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size",
                    "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 0, "maximum": 10},
                        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
                    "status": {"type": "object", "properties": {
                        "size": {"type": "integer"}, "selector": {"type": "string"}}}}}}}]},
    })
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// Defines widgets and waits, on a watch, until they are established.
async fn define(server: &Server, client: &mut Client, definition: &Value) {
    assert_eq!(client.post(DEFINITIONS, definition).await.code, 201);
    let name = definition["metadata"]["name"].as_str().unwrap();
    until(server, name, |event| is_true(event, "Established")).await;
}

fn is_true(event: &Value, condition: &str) -> bool {
    let conditions = event["object"]["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .iter()
        .any(|one| one["type"] == condition && one["status"] == "True")
}

/// Reads events of a definition, beginning with what is there, until one is what is waited for.
async fn until(server: &Server, name: &str, done: impl Fn(&Value) -> bool) {
    let mut client = server.admin().await;
    let mut watch = watch(&mut client, name).await;
    reach(&mut watch, done).await;
}

async fn watch(client: &mut Client, name: &str) -> Watch {
    let path = format!("{DEFINITIONS}?watch=true&fieldSelector=metadata.name={name}");
    client.watch(&path).await
}

async fn reach(watch: &mut Watch, done: impl Fn(&Value) -> bool) {
    let events = async {
        loop {
            let event = watch.next().await.expect("the watch goes on");
            if done(&event) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, events)
        .await
        .expect("the definition gets there");
}

#[tokio::test]
async fn a_definition_makes_a_kind() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    assert_eq!(client.get(WIDGETS).await.code, 404);
    define(&server, &mut client, &definition()).await;

    let resources = client.get("/apis/example.com/v1").await.json();
    let names: Vec<&str> = resources["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["widgets", "widgets/status", "widgets/scale"]);
    assert_eq!(resources["resources"][0]["shortNames"], json!(["wd"]));

    let created = client
        .post(WIDGETS, &widget("a", json!({"size": 3, "free": {"x": 1}, "none": 1})))
        .await;
    assert_eq!(created.code, 201, "{}", created.json());
    assert_eq!(
        created.json()["spec"],
        json!({"size": 3, "color": "red", "free": {"x": 1}})
    );
    assert_eq!(created.json()["metadata"]["generation"], 1);
    assert_eq!(created.headers["warning"], "299 - \"unknown field \\\"spec.none\\\"\"");

    let strict = client
        .post(
            &format!("{WIDGETS}?fieldValidation=Strict"),
            &widget("b", json!({"size": 3, "none": 1})),
        )
        .await;
    let message =
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.none\"";
    assert_eq!(strict.failure(), (400, message.to_owned()));

    let invalid = client
        .post(WIDGETS, &widget("b", json!({"size": 11, "color": "green"})))
        .await;
    let message = "Widget.example.com \"b\" is invalid: [spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\", \
        spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10, <nil>: Invalid value: null: some \
        validation rules were not checked because the object was invalid; correct the existing errors to complete validation]";
    assert_eq!(invalid.failure(), (422, message.to_owned()));

    client
        .post(WIDGETS, &widget("b", json!({"size": 1, "color": "blue"})))
        .await;
    let blue = client
        .get(&format!("{WIDGETS}?fieldSelector=spec.color=blue"))
        .await
        .json();
    assert_eq!(blue["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        client.get(&format!("{WIDGETS}?fieldSelector=spec.size=1")).await.code,
        400
    );
    let table = client
        .send(
            "GET",
            WIDGETS,
            &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")],
            "",
        )
        .await
        .json();
    assert_eq!(table["columnDefinitions"][1]["name"], "Size");
    assert_eq!(table["rows"][0]["cells"], json!(["a", 3]));
}

#[tokio::test]
async fn clients_are_told_how_customs_are_patched() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    define(&server, &mut client, &definition()).await;
    let types = |document: &Value, path: &str| -> Vec<String> {
        let content = document["paths"][path]["patch"]["requestBody"]["content"]
            .as_object()
            .cloned();
        content.unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    };
    let strategic = "application/strategic-merge-patch+json".to_owned();
    let own = client.get("/openapi/v3/apis/example.com/v1").await.json();
    let own = types(&own, "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}");
    assert!(
        own.contains(&"application/merge-patch+json".to_owned()) && !own.contains(&strategic),
        "{own:?}"
    );
    let core = client.get("/openapi/v3/api/v1").await.json();
    assert!(types(&core, "/api/v1/namespaces/{namespace}/pods/{name}").contains(&strategic));
}

#[tokio::test]
async fn status_has_a_door_of_its_own() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    define(&server, &mut client, &definition()).await;
    let mut body = widget("a", json!({"size": 3}));
    body["status"] = json!({"size": 9});
    let created = client.post(WIDGETS, &body).await.json();
    assert_eq!(created["status"], Value::Null);

    let path = format!("{WIDGETS}/a");
    let patch = json!({"spec": {"size": 4}, "status": {"size": 2, "selector": "a=b"}});
    let patched = client.merge(&format!("{path}/status"), &patch).await.json();
    assert_eq!(
        (&patched["spec"]["size"], &patched["status"]["size"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(patched["metadata"]["generation"], 1);
    let patched = client
        .merge(&path, &json!({"spec": {"size": 4}, "status": {"size": 7}}))
        .await
        .json();
    assert_eq!(
        (&patched["spec"]["size"], &patched["status"]["size"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(patched["metadata"]["generation"], 2);
    let wrong = client
        .merge(&format!("{path}/status"), &json!({"status": {"size": "x"}}))
        .await;
    assert_eq!(wrong.code, 422);
}

#[tokio::test]
async fn a_definition_that_goes_takes_its_objects_along() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    define(&server, &mut client, &definition()).await;
    let mut held = widget("held", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert_eq!(client.post(WIDGETS, &held).await.code, 201);
    assert_eq!(
        client.post(WIDGETS, &widget("free", json!({"size": 1}))).await.code,
        201
    );

    // What is defined is served again after a restart, at once.
    drop(client);
    server.restart().await;
    let mut client = server.admin().await;
    assert_eq!(client.get(WIDGETS).await.json()["items"].as_array().unwrap().len(), 2);

    let deleted = client
        .delete(&format!("{DEFINITIONS}/widgets.example.com"))
        .await
        .json();
    assert_eq!(
        deleted["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    until(&server, "widgets.example.com", |event| is_true(event, "Terminating")).await;
    let refused = client.post(WIDGETS, &widget("new", json!({"size": 1}))).await;
    let message = "create not allowed while custom resource definition is terminating";
    assert_eq!(refused.failure(), (405, message.to_owned()));
    let mut watcher = server.admin().await;
    let mut events = watch(&mut watcher, "widgets.example.com").await;
    let patch = json!({"metadata": {"finalizers": null}});
    client.merge(&format!("{WIDGETS}/held"), &patch).await;
    reach(&mut events, |event| event["type"] == "DELETED").await;
    assert_eq!(client.get(WIDGETS).await.code, 404);
}

#[tokio::test]
async fn names_are_somebodys() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    define(&server, &mut client, &definition()).await;
    let mut second = definition();
    second["metadata"]["name"] = "gadgets.example.com".into();
    second["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget"});
    assert_eq!(client.post(DEFINITIONS, &second).await.code, 201);
    until(&server, "gadgets.example.com", |event| {
        let conditions = event["object"]["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|one| one["type"] == "NamesAccepted" && one["reason"] == "ListKindConflict")
    })
    .await;
    assert_eq!(client.get("/apis/example.com/v1/gadgets").await.code, 404);
}

#[tokio::test]
async fn documents_follow_the_definition() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let color = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color";
    let mut urls = Vec::new();
    for schema in [
        json!({"type": "string"}),
        json!({"type": "string", "description": "What it looks like."}),
    ] {
        let mut definition = definition();
        *definition.pointer_mut(color).unwrap() = schema.clone();
        define(&server, &mut client, &definition).await;
        let index = client.get("/openapi/v3").await.json();
        let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str();
        let url = url.unwrap().to_owned();
        let document = client.get(&url).await.json();
        let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
        assert_eq!(
            widget["x-kubernetes-group-version-kind"],
            json!([{"group": "example.com", "version": "v1", "kind": "Widget"}])
        );
        assert_eq!(widget["properties"]["spec"]["properties"]["color"], schema);
        assert!(widget["properties"]["metadata"]["allOf"][0]["$ref"].is_string());
        urls.push(url);

        let mut watcher = server.admin().await;
        let mut events = watch(&mut watcher, "widgets.example.com").await;
        client.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
        reach(&mut events, |event| event["type"] == "DELETED").await;
        assert_eq!(client.get("/openapi/v3/apis/example.com/v1").await.code, 404);
    }
    assert_ne!(urls[0], urls[1], "what has changed has another hash");
}

#[tokio::test]
async fn what_has_replicas_can_be_scaled() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    define(&server, &mut client, &definition()).await;
    client.post(WIDGETS, &widget("a", json!({"size": 3}))).await;
    let status = json!({"status": {"size": 2, "selector": "app=a"}});
    client.merge(&format!("{WIDGETS}/a/status"), &status).await;
    let path = format!("{WIDGETS}/a/scale");
    let scale = client.get(&path).await.json();
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(3))
    );
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=a"}));
    let scaled = client.merge(&path, &json!({"spec": {"replicas": 5}})).await.json();
    assert_eq!(scaled["spec"]["replicas"], 5);
    assert_eq!(client.get(&format!("{WIDGETS}/a")).await.json()["spec"]["size"], 5);
    // What the schema says counts here too.
    assert_eq!(client.merge(&path, &json!({"spec": {"replicas": 11}})).await.code, 422);
}

#[tokio::test]
async fn versions_show_the_same_objects() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut definition = definition();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["deprecated"] = true.into();
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    define(&server, &mut client, &definition).await;

    client.post(WIDGETS, &widget("one", json!({"size": 1}))).await;
    let others = WIDGETS.replace("/v1/", "/v2/");
    let mut two = widget("two", json!({"size": 2}));
    two["apiVersion"] = "example.com/v2".into();
    let created = client.post(&others, &two).await;
    assert_eq!(created.json()["apiVersion"], "example.com/v2");
    assert_eq!(
        created.headers["warning"],
        "299 - \"example.com/v2 Widget is deprecated\""
    );
    for (path, version) in [(WIDGETS, "example.com/v1"), (&*others, "example.com/v2")] {
        let list = client.get(path).await.json();
        let said: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["apiVersion"].as_str())
            .collect();
        assert_eq!(said, [version, version]);
        let patched = client
            .merge(&format!("{path}/two"), &json!({"spec": {"color": "blue"}}))
            .await;
        assert_eq!((patched.code, &patched.json()["apiVersion"]), (200, &json!(version)));
    }
    let group = client.get("/apis/example.com").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v2");
}

#[tokio::test]
async fn rules_are_asked_about_objects_and_their_changes() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = json!([
        {"rule": "self.size % 2 == 1", "messageExpression": "'size is ' + string(self.size) + ', not odd'", "fieldPath": ".size"},
        {"rule": "self.size >= oldSelf.size", "message": "may not shrink"}]);
    define(&server, &mut client, &definition).await;
    let even = client.post(WIDGETS, &widget("a", json!({"size": 2}))).await;
    let message = "Widget.example.com \"a\" is invalid: spec.size: Invalid value: size is 2, not odd";
    assert_eq!(even.failure(), (422, message.to_owned()));
    assert_eq!(client.post(WIDGETS, &widget("a", json!({"size": 3}))).await.code, 201);
    let smaller = client
        .merge(&format!("{WIDGETS}/a"), &json!({"spec": {"size": 1}}))
        .await;
    let message = "Widget.example.com \"a\" is invalid: spec: Invalid value: may not shrink";
    assert_eq!(smaller.failure(), (422, message.to_owned()));
    assert_eq!(
        client
            .merge(&format!("{WIDGETS}/a"), &json!({"spec": {"size": 5}}))
            .await
            .code,
        200
    );

    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "self.none == 1"}]);
    definition["metadata"] = json!({"name": "others.example.com"});
    definition["spec"]["names"] = json!({"plural": "others", "kind": "Other"});
    let refused = client.post(DEFINITIONS, &definition).await;
    assert_eq!(refused.code, 422);
    assert!(
        refused.failure().1.contains("undefined field 'none'"),
        "{}",
        refused.failure().1
    );
}

#[tokio::test]
async fn customs_are_applied_by_their_schema() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["parts"] = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
        "items": {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"}, "count": {"type": "integer"}}}});
    define(&server, &mut client, &definition).await;
    let headers = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{WIDGETS}/w");
    let by = |manager: &str| format!("{path}?fieldManager={manager}");
    let first = widget("w", json!({"size": 1, "parts": [{"id": "a", "count": 1}]}));
    let created = client.send("PATCH", &by("one"), &headers, first.to_string()).await;
    assert_eq!(created.code, 201, "{:?}", created.body);
    let created = created.json();
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(entry["apiVersion"], "example.com/v1");
    let part = "k:{\"id\":\"a\"}";
    let owned = json!({"f:spec": {"f:parts": {part: {".": {}, "f:count": {}, "f:id": {}}}, "f:size": {}}});
    assert_eq!(entry["fieldsV1"], owned);
    let second = widget("w", json!({"parts": [{"id": "b"}]}));
    let merged = client
        .send("PATCH", &by("two"), &headers, second.to_string())
        .await
        .json();
    assert_eq!(merged["spec"]["parts"], json!([{"id": "a", "count": 1}, {"id": "b"}]));
    let third = widget("w", json!({"parts": [{"id": "a", "count": 2}]}));
    let (code, message) = client
        .send("PATCH", &by("two"), &headers, third.to_string())
        .await
        .failure();
    let expected = "Apply failed with 1 conflict: conflict with \"one\": .spec.parts[id=\"a\"].count";
    assert_eq!((code, message.as_str()), (409, expected));
    let again = client
        .send("PATCH", &by("one"), &headers, first.to_string())
        .await
        .json();
    assert_eq!(again, merged, "what changes nothing writes nothing");
    let unknown = widget("w", json!({"shape": "round"}));
    let (code, message) = client
        .send("PATCH", &by("one"), &headers, unknown.to_string())
        .await
        .failure();
    let expected = "failed to create typed patch object (/w; example.com/v1, Kind=Widget): .spec.shape: field not declared in schema";
    assert_eq!((code, message.as_str()), (500, expected));
}

#[tokio::test]
async fn what_hangs_on_a_definition_goes_with_it() {
    const SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com";
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut definition = definition();
    definition["spec"]["versions"][0]["deprecated"] = true.into();
    let mut services = server.admin().await;
    let path = "/apis/apiregistration.k8s.io/v1/apiservices?watch=true&fieldSelector=metadata.name=v1.example.com";
    let mut services = services.watch(path).await;
    define(&server, &mut client, &definition).await;
    reach(&mut services, |event| event["type"] == "ADDED").await;
    let service = client.get(SERVICE).await.json();
    assert_eq!(service["spec"]["groupPriorityMinimum"], 1000);
    assert_eq!(service["status"]["conditions"][0]["reason"], "Local");
    let answer = client.get(WIDGETS).await;
    let told = answer.headers["warning"].to_str().unwrap();
    assert_eq!(told, "299 - \"example.com/v1 Widget is deprecated\"");

    client.create(WIDGETS, &widget("a", json!({"size": 1}))).await;
    let mut other = server.admin().await;
    let mut widgets = other.watch(&format!("{WIDGETS}?watch=true")).await;
    reach(&mut widgets, |event| event["type"] == "ADDED").await;
    client.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
    reach(&mut widgets, |event| event["type"] == "DELETED").await;
    let end = tokio::time::timeout(PATIENCE, widgets.next()).await;
    assert_eq!(end.expect("in time"), None, "the watch ends");
    reach(&mut services, |event| event["type"] == "DELETED").await;
}
