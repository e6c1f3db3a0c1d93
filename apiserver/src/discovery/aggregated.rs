//! Aggregated discovery: everything in one answer (apidiscovery.k8s.io), what kubectl asks for first.

use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use minik_api::kinds::Kind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{kinds_of, versions_of};
use crate::http::{Accept, json as respond, unless_known};

/// The version of the list that the client wants; `None` when it wants the older form.
pub(super) fn wanted(headers: &HeaderMap) -> Option<&'static str> {
    use crate::http::Form;
    let accept = Accept::of(headers);
    let can = |kind: &str, version: &str| kind == "APIGroupDiscoveryList" && ["v2", "v2beta1"].contains(&version);
    match accept.choose(can).map(|choice| &choice.form) {
        Ok(Form::As { version, .. }) if version == "v2" => Some("v2"),
        Ok(Form::As { .. }) => Some("v2beta1"),
        _ => None,
    }
}

/// The list of these groups.
pub(super) fn list(headers: &HeaderMap, version: &'static str, items: Vec<Value>) -> Response {
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items});
    let tag = hex::encode_upper(Sha256::digest(list.to_string()));
    let mut response = unless_known(headers, &tag, || respond(StatusCode::OK, &Accept::of(headers), &list));
    // Clients tell by the type which of the forms they got.
    let media_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    if let Ok(media_type) = HeaderValue::from_str(&media_type) {
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    // Asked again each time, but only sent when something has changed.
    let cache_control = HeaderValue::from_static("public");
    response.headers_mut().insert(CACHE_CONTROL, cache_control);
    response
}

/// What this server itself has of these groups.
pub(super) fn groups(kinds: &[&'static Kind], groups: &[&str]) -> Vec<Value> {
    groups.iter().map(|name| group(kinds, name)).collect()
}

fn group(kinds: &[&'static Kind], name: &str) -> Value {
    let version = |version: &'static str| {
        let resources: Vec<Value> = kinds_of(kinds, name)
            .filter(|kind| kind.version == version)
            .map(resource)
            .collect();
        json!({"version": version, "freshness": "Current", "resources": resources})
    };
    let versions: Vec<Value> = versions_of(kinds, name).into_iter().map(version).collect();
    json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions})
}

fn resource(kind: &Kind) -> Value {
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            let (group, version) = subresource.group_version.unwrap_or((kind.group, kind.version));
            let response_kind = response_kind(group, version, subresource.kind.unwrap_or(kind.kind));
            json!({"subresource": subresource.name, "responseKind": response_kind, "verbs": subresource.verbs})
        })
        .collect();
    let mut value = json!({"resource": kind.plural, "responseKind": response_kind(kind.group, kind.version, kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": kind.verbs});
    for (name, list) in [("shortNames", kind.short_names), ("categories", kind.categories)] {
        if !list.is_empty() {
            value[name] = json!(list);
        }
    }
    if !subresources.is_empty() {
        value["subresources"] = subresources.into();
    }
    value
}

fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}
