//! As much of OpenAPI as kubectl needs to know that the server validates fields and does dry runs: the query parameters of
//! each kind's `PATCH`. Schemas aren't there yet; strategic merge then uses what is compiled into kubectl.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use minik_api::kinds::Kind;
use minik_api::path;
use minik_api::status::Status;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::openapi_v2;
use crate::http::{Accept, Api, failure, json as respond};

/// `/openapi/v2`, in the one form that anybody asks for.
pub(super) async fn v2(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let known = [openapi_v2::MEDIA_TYPE, openapi_v2::OLD_MEDIA_TYPE];
    if !accepts
        .flat_map(|value| value.split(','))
        .any(|media| known.contains(&media.trim()))
    {
        return failure(&Status::not_acceptable(&[openapi_v2::MEDIA_TYPE]));
    }
    let mut response = Response::new(Body::from(openapi_v2::document(&api.registry.kinds().all())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(openapi_v2::MEDIA_TYPE));
    response
}

/// `/openapi/v3`: where the documents are. The hash lets clients cache them for good.
pub(super) async fn index(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let kinds = api.registry.kinds().all();
    let groups: BTreeSet<String> = kinds.iter().map(|kind| group_path(kind)).collect();
    let mut paths = Map::new();
    for group in groups {
        let hash = hex::encode_upper(Sha256::digest(document_of(&kinds, &group).to_string()));
        let url = format!("/openapi/v3/{group}?hash={hash}");
        paths.insert(group, json!({"serverRelativeURL": url}));
    }
    respond(StatusCode::OK, &Accept::of(&headers), &json!({"paths": paths}))
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`.
pub(super) async fn document(State(api): State<Arc<Api>>, headers: HeaderMap, Path(group): Path<String>) -> Response {
    let kinds = api.registry.kinds().all();
    if !kinds.iter().any(|kind| group_path(kind) == group) {
        return failure(&Status::no_such_path());
    }
    respond(StatusCode::OK, &Accept::of(&headers), &document_of(&kinds, &group))
}

fn group_path(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

fn document_of(kinds: &[&'static Kind], group: &str) -> Value {
    let mut paths = Map::new();
    for kind in kinds.iter().filter(|kind| group_path(kind) == group) {
        let namespace = kind.namespaced.then_some("{namespace}");
        paths.insert(
            path::object(kind, namespace, "{name}"),
            json!({"patch": operation(kind)}),
        );
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": super::GIT_VERSION}, "paths": paths,
        "components": {"schemas": {}}})
}

fn operation(kind: &Kind) -> Value {
    let parameter = |name: &str, description: &str| {
        json!({"name": name, "in": "query", "description": description,
            "schema": {"type": "string", "uniqueItems": true}})
    };
    json!({
        "operationId": format!("patch{}", kind.kind),
        "parameters": [
            parameter("dryRun", "All: every step but storing."),
            parameter("fieldManager", "Who makes the change."),
            parameter("fieldValidation", "Ignore, Warn or Strict: what to do about unknown and duplicate fields."),
        ],
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    })
}
