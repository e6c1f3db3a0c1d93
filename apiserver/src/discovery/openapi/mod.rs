//! OpenAPI: what can be sent and what comes back, for programs (`kubectl explain`, validation before sending, generators).
//!
//! ```text
//! table of kinds   ─┐                                        ┌─ /openapi/v3             where the documents are
//! table of shapes  ─┼─ schemas.rs, operations.rs ─ document ─┼─ /openapi/v3/apis/apps/v1
//! descriptions.rs  ─┘                                        └─ /openapi/v2             everything in one
//! ```
//! Documents are made when they are asked for and kept by those who asked: the index has a hash for each, under which a
//! document never changes. Nothing of them stays in memory here.

mod custom;
mod descriptions;
mod names;
mod operations;
mod protobuf;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use minik_api::kinds::Kind;
use minik_api::schema;
use minik_api::status::Status;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::http::{Accept, Api, failure, is_known, json as respond, json_bytes as respond_bytes, not_modified, tagged};
use crate::kinds::Kinds;
use descriptions::Texts;
use schemas::{Edition, Schemas};

/// Of everything that the documents of built-in kinds are made from, but for the rows of the table of kinds.
const FINGERPRINT: &str = env!("MINIK_OPENAPI_FINGERPRINT");
/// Under its hash a document never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, immutable");

/// Who makes a document.
static TURN: Semaphore = Semaphore::const_new(1);

/// `/openapi/v2`: JSON, or as much as old clients need in the protobuf that they insist on.
pub(super) async fn v2(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let accepts: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let mut wanted = accepts.iter().flat_map(|value| value.split(',')).map(str::trim);
    let is_protobuf = |media: &str| [protobuf::MEDIA_TYPE, protobuf::OLD_MEDIA_TYPE].contains(&media);
    let is_json = |media: &str| {
        let (media, _) = media.split_once(';').unwrap_or((media, ""));
        ["application/json", "application/*", "*/*"].contains(&media)
    };
    let kinds = api.registry.kinds();
    match wanted.find(|media| is_protobuf(media) || is_json(media)) {
        Some(media) if is_protobuf(media) => {
            let mut response = Response::new(Body::from(protobuf::document(&kinds.all())));
            let media_type = HeaderValue::from_static(protobuf::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        }
        None if !accepts.is_empty() => failure(&Status::not_acceptable(&["application/json", protobuf::MEDIA_TYPE])),
        _ => {
            let hash = hash(&kinds.all(), kinds, |_| true);
            cached(api.clone(), &headers, &hash, Edition::V2, |_| true).await
        }
    }
}

/// `/openapi/v3`: where the documents are.
pub(super) async fn index(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let kinds = api.registry.kinds();
    let all = kinds.all();
    let groups: BTreeSet<String> = all.iter().map(|kind| names::document(kind)).collect();
    let mut paths = Map::new();
    for group in groups {
        let hash = hash(&all, kinds, |kind| names::document(kind) == group);
        let url = format!("/openapi/v3/{group}?hash={hash}");
        paths.insert(group, json!({"serverRelativeURL": url}));
    }
    for (path, url) in api.aggregated.documents() {
        paths.entry(path).or_insert_with(|| json!({"serverRelativeURL": url}));
    }
    respond(StatusCode::OK, &Accept::of(&headers), &json!({"paths": paths}))
}

/// The query of a document.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// As the index said.
    hash: Option<String>,
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`.
pub(super) async fn group(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(group): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let kinds = api.registry.kinds();
    let all = kinds.all();
    if !all.iter().any(|kind| names::document(kind) == group) {
        return failure(&Status::no_such_path());
    }
    let hash = hash(&all, kinds, |kind| names::document(kind) == group);
    match asked.hash {
        // As upstream: what is kept under a hash has to be what the hash says.
        Some(asked) if asked != hash => moved(&format!("/openapi/v3/{group}?hash={hash}")),
        asked => {
            let meant = move |kind: &Kind| names::document(kind) == group;
            let mut response = cached(api.clone(), &headers, &hash, Edition::V3, meant).await;
            if asked.is_some() {
                response.headers_mut().insert(CACHE_CONTROL, FOREVER);
            }
            response
        }
    }
}

/// A document of the kinds that are `meant`, in JSON.
fn document(kinds: &Kinds, edition: Edition, meant: impl Fn(&Kind) -> bool) -> Bytes {
    let texts = Texts::unpack();
    let descriptions = texts.read();
    let mut schemas = Schemas::new(edition, &descriptions);
    let mut paths = BTreeMap::new();
    for kind in kinds.all().into_iter().filter(|kind| meant(kind)) {
        let object = schemas.object(kind, || kinds.rules(kind).schema());
        paths.append(&mut operations::paths(kind, &object, &mut schemas));
    }
    let info = json!({"title": "Kubernetes", "version": super::GIT_VERSION});
    let (version, before, after) = match edition {
        Edition::V2 => ("\"swagger\":\"2.0\"", "\"definitions\":{", "}}"),
        Edition::V3 => ("\"openapi\":\"3.0.0\"", "\"components\":{\"schemas\":{", "}}}"),
    };
    let mut document = format!("{{{version},\"info\":{info},\"paths\":{{");
    append(&mut document, paths);
    document.push_str("},");
    document.push_str(before);
    append(&mut document, schemas.finish());
    document.push_str(after);
    document.into()
}

/// Appends the fields of an object, whose values are JSON already.
fn append(document: &mut String, fields: BTreeMap<String, String>) {
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            document.push(',');
        }
        document.push_str(&Value::String(name).to_string());
        document.push(':');
        document.push_str(&value);
    }
}

/// Changes whenever the document of the kinds that are `meant` does. For built-in kinds it comes from what the document is
/// made from, so that an index costs next to nothing.
fn hash(all: &[&'static Kind], kinds: &Kinds, meant: impl Fn(&Kind) -> bool) -> String {
    let mut digest = Sha256::new();
    digest.update(FINGERPRINT);
    digest.update(super::GIT_VERSION);
    for kind in all.iter().filter(|kind| meant(kind)) {
        digest.update(format!("{kind:?}"));
        let rules = kinds.rules(kind);
        if schema::of(kind).is_none()
            && let Some(custom) = rules.schema()
        {
            digest.update(custom.to_string());
        }
    }
    hex::encode_upper(digest.finalize())
}

/// The answer with the document, unless the client has it already.
async fn cached(
    api: Arc<Api>,
    headers: &HeaderMap,
    hash: &str,
    edition: Edition,
    meant: impl Fn(&Kind) -> bool + Send + 'static,
) -> Response {
    if is_known(headers, hash) {
        return tagged(not_modified(), hash);
    }
    let accept = Accept::of(headers);
    // Tens of milliseconds of work: beside everything else, and one at a time.
    let _turn = TURN.acquire().await;
    let made = tokio::task::spawn_blocking(move || {
        let document = document(api.registry.kinds(), edition, meant);
        respond_bytes(StatusCode::OK, &accept, document)
    });
    match made.await {
        Ok(response) => tagged(response, hash),
        Err(error) => failure(&Status::internal(format!("the document can't be made: {error}"))),
    }
}

fn moved(to: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(to)) => found.push(to),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    fn parsed(edition: Edition, meant: impl Fn(&Kind) -> bool) -> Value {
        serde_json::from_slice(&document(&Kinds::default(), edition, meant)).expect("it is JSON")
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for edition in [Edition::V2, Edition::V3] {
            let document = parsed(edition, |_| true);
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(found.len() > 1000, "{}", found.len());
            for reference in found {
                let pointer = reference.strip_prefix('#').expect("all are in the document");
                assert!(document.pointer(pointer).is_some(), "{edition:?} {reference}");
            }
        }
    }

    #[test]
    fn fields_say_what_they_are_and_how_they_merge() {
        let document = parsed(Edition::V3, |kind| names::document(kind) == "api/v1");
        let schemas = &document["components"]["schemas"];
        let spec = &schemas["io.k8s.api.core.v1.PodSpec"];
        let containers = &spec["properties"]["containers"];
        assert_eq!(spec["required"], json!(["containers"]));
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        let item = "#/components/schemas/io.k8s.api.core.v1.Container";
        assert_eq!(containers["items"], json!({"allOf": [{"$ref": item}], "default": {}}));
        let volumes = &spec["properties"]["volumes"];
        assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
        let protocol = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
        assert_eq!(protocol["enum"], json!(["SCTP", "TCP", "UDP"]));
        assert_eq!(protocol["default"], "TCP");
        let pod = &schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"];
        assert_eq!(*pod, json!([{"group": "", "version": "v1", "kind": "Pod"}]));
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert_eq!(patch["operationId"], "patchCoreV1NamespacedPod");
        assert!(patch["parameters"].to_string().contains("fieldValidation"));
    }
}
