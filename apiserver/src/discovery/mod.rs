//! Discovery: what is served, so that clients find their way: versions, groups, resources, and the little of OpenAPI that
//! tells kubectl to leave validation to the server.

mod aggregated;
mod openapi;
mod openapi_v2;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use minik_api::kinds::{self, Kind};
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::http::{Accept, Api, failure, json as respond};

/// The level of the API, as clients read it.
const MINOR: &str = "36";
const GIT_VERSION: &str = "v1.36.0+minik";

/// The paths of discovery.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api", get(core_versions))
        .route("/api/", get(core_versions))
        .route("/apis", get(groups))
        .route("/apis/", get(groups))
        .route(
            "/api/{version}",
            get(|headers, Path(version): Path<String>| resources(headers, String::new(), version)),
        )
        .route("/apis/{group}", get(group))
        .route(
            "/apis/{group}/{version}",
            get(|headers, Path((group, version))| resources(headers, group, version)),
        )
        .route("/openapi/v2", get(openapi::v2))
        .route("/openapi/v3", get(openapi::index))
        .route("/openapi/v3/{*path}", get(openapi::document))
}

/// `/version`
pub(crate) async fn version(headers: HeaderMap) -> Response {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let version = json!({
        "major": "1", "minor": MINOR, "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("linux/{arch}"),
        "emulationMajor": "1", "emulationMinor": MINOR, "minCompatibilityMajor": "1", "minCompatibilityMinor": MINOR,
    });
    respond(StatusCode::OK, &Accept::of(&headers), &version)
}

async fn core_versions(headers: HeaderMap) -> Response {
    if let Some(version) = aggregated::wanted(&headers) {
        return aggregated::list(&headers, version, &[""]);
    }
    let versions = json!({"kind": "APIVersions", "versions": versions_of(""), "serverAddressByClientCIDRs": []});
    respond(StatusCode::OK, &Accept::of(&headers), &versions)
}

async fn groups(headers: HeaderMap) -> Response {
    let names = group_names();
    if let Some(version) = aggregated::wanted(&headers) {
        return aggregated::list(&headers, version, &names);
    }
    let groups: Vec<Value> = names.iter().map(|name| group_value(name)).collect();
    let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    respond(StatusCode::OK, &Accept::of(&headers), &list)
}

async fn group(headers: HeaderMap, Path(name): Path<String>) -> Response {
    if !group_names().contains(&name.as_str()) {
        return failure(&Status::no_such_path());
    }
    let mut group = group_value(&name);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    respond(StatusCode::OK, &Accept::of(&headers), &group)
}

async fn resources(headers: HeaderMap, group: String, version: String) -> Response {
    let served: Vec<&Kind> = kinds_of(&group).filter(|kind| kind.version == version).collect();
    if served.is_empty() {
        return failure(&Status::no_such_path());
    }
    let resources: Vec<Value> = served.iter().flat_map(|kind| resource_values(kind)).collect();
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served[0].api_version(),
        "resources": resources});
    respond(StatusCode::OK, &Accept::of(&headers), &list)
}

/// metav1.APIResource of a kind and of each of its subresources.
fn resource_values(kind: &Kind) -> Vec<Value> {
    let mut main = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs});
    if !kind.short_names.is_empty() {
        main["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        main["categories"] = json!(kind.categories);
    }
    let subresources = kind.subresources.iter().map(|subresource| {
        let mut value = json!({"name": format!("{}/{}", kind.plural, subresource.name), "singularName": "",
            "namespaced": kind.namespaced, "kind": subresource.kind.unwrap_or(kind.kind), "verbs": subresource.verbs});
        if let Some((group, version)) = subresource.group_version {
            value["group"] = group.into();
            value["version"] = version.into();
        }
        value
    });
    std::iter::once(main).chain(subresources).collect()
}

fn group_value(name: &str) -> Value {
    let version = |version: &str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions_of(name).into_iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

/// All groups but core, in the order of the table.
fn group_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for kind in kinds::all() {
        if !kind.group.is_empty() && !names.contains(&kind.group) {
            names.push(kind.group);
        }
    }
    names
}

fn versions_of(group: &str) -> Vec<&'static str> {
    let mut versions: Vec<&str> = Vec::new();
    for kind in kinds_of(group) {
        if !versions.contains(&kind.version) {
            versions.push(kind.version);
        }
    }
    versions
}

fn kinds_of(group: &str) -> impl Iterator<Item = &'static Kind> {
    kinds::all().iter().filter(move |kind| kind.group == group)
}
