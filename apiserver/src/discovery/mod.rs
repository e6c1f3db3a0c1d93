//! Discovery: what is served, so that clients find their way: versions, groups, resources, and what can be sent
//! there (OpenAPI).

mod aggregated;
mod openapi;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::HOST;
use http::{HeaderMap, StatusCode};
use minik_api::kinds::Kind;
use minik_api::path;
use minik_api::status::Status;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::{Accept, Api, failure, json as respond};

/// The level of the API, as clients read it.
const MINOR: &str = "36";
pub(crate) const GIT_VERSION: &str = "v1.36.0+minik";

/// What is served besides kinds.
const FIXED: [&str; 6] = [
    "/healthz",
    "/livez",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
];

/// The paths of discovery.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(paths))
        .route("/api", get(core_versions))
        .route("/api/", get(core_versions))
        .route("/apis", get(groups))
        .route("/apis/", get(groups))
        .route(
            "/api/{version}",
            get(
                |State(api): State<Arc<Api>>, headers, Path(version): Path<String>| async move {
                    resources(&api, headers, String::new(), version).await
                },
            ),
        )
        .route("/apis/{group}", get(group))
        .route(
            "/apis/{group}/{version}",
            get(
                |State(api): State<Arc<Api>>, headers, Path((group, version))| async move {
                    resources(&api, headers, group, version).await
                },
            ),
        )
        .route("/openapi/v2", get(openapi::v2))
        .route("/openapi/v3", get(openapi::index))
        .route("/openapi/v3/{*path}", get(openapi::group))
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

/// `/`: every path below which something is served.
async fn paths(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let kinds = api.registry.kinds().all();
    let mut paths: BTreeSet<String> = FIXED.iter().map(|path| (*path).to_owned()).collect();
    for kind in kinds {
        let document = path::collection(kind, None);
        let mut path = document.as_str();
        while let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            paths.insert(above.to_owned());
            path = above;
        }
    }
    respond(StatusCode::OK, &Accept::of(&headers), &json!({"paths": paths}))
}

async fn core_versions(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let kinds = api.registry.kinds().all();
    if let Some(version) = aggregated::wanted(&headers) {
        return aggregated::list(&headers, version, aggregated::groups(&kinds, &[""]));
    }
    // From everywhere, the address by which this client found us.
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let versions = json!({"kind": "APIVersions", "versions": versions_of(&kinds, ""),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]});
    respond(StatusCode::OK, &Accept::of(&headers), &versions)
}

async fn groups(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let kinds = api.registry.kinds().all();
    let names = group_names(&kinds);
    if let Some(version) = aggregated::wanted(&headers) {
        let mut groups = aggregated::groups(&kinds, &names);
        api.aggregated.add_discovery(&mut groups);
        return aggregated::list(&headers, version, groups);
    }
    let mut groups: Vec<Value> = names.iter().map(|name| group_value(&kinds, name)).collect();
    api.aggregated.add_groups(&mut groups);
    let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    respond(StatusCode::OK, &Accept::of(&headers), &list)
}

async fn group(State(api): State<Arc<Api>>, headers: HeaderMap, Path(name): Path<String>) -> Response {
    let kinds = api.registry.kinds().all();
    let is_own = group_names(&kinds).contains(&name.as_str());
    let mut groups: Vec<Value> = is_own.then(|| group_value(&kinds, &name)).into_iter().collect();
    api.aggregated.add_groups(&mut groups);
    let Some(mut group) = groups.into_iter().find(|group| group["name"] == *name) else {
        return failure(&Status::no_such_path());
    };
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    respond(StatusCode::OK, &Accept::of(&headers), &group)
}

async fn resources(api: &Api, headers: HeaderMap, group: String, version: String) -> Response {
    let kinds = api.registry.kinds().all();
    let served: Vec<&'static Kind> = kinds_of(&kinds, &group)
        .filter(|kind| kind.version == version)
        .collect();
    if served.is_empty() {
        return failure(&Status::no_such_path());
    }
    let resources: Vec<Value> = served.iter().flat_map(|kind| resource_values(kind)).collect();
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served[0].api_version(),
        "resources": resources});
    respond(StatusCode::OK, &Accept::of(&headers), &list)
}

/// metav1.APIResource of a kind and of each of its subresources.
fn resource_values(kind: &'static Kind) -> Vec<Value> {
    let mut main = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs});
    if kind.verbs.contains(&"get") {
        main["storageVersionHash"] = storage_version_hash(kind.stored()).into();
    }
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

/// Changes when objects begin to be kept in another version: migrations watch it (metav1.APIResource). As upstream: the
/// first eight bytes of the hash of group, version and kind.
fn storage_version_hash(kind: &Kind) -> String {
    let identity = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
    BASE64_STANDARD.encode(&Sha256::digest(identity)[..8])
}

fn group_value(kinds: &[&'static Kind], name: &str) -> Value {
    let version = |version: &str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions_of(kinds, name).into_iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

/// All groups but core, in the order of the table.
fn group_names(kinds: &[&'static Kind]) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for kind in kinds {
        if !kind.group.is_empty() && !names.contains(&kind.group) {
            names.push(kind.group);
        }
    }
    names
}

fn versions_of(kinds: &[&'static Kind], group: &str) -> Vec<&'static str> {
    let mut versions: Vec<&str> = Vec::new();
    for kind in kinds_of(kinds, group) {
        if !versions.contains(&kind.version) {
            versions.push(kind.version);
        }
    }
    versions
}

fn kinds_of<'a>(kinds: &'a [&'static Kind], group: &'a str) -> impl Iterator<Item = &'static Kind> + 'a {
    kinds.iter().copied().filter(move |kind| kind.group == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_versions_are_told_as_upstream_tells_them() {
        let pods = minik_api::kinds::of("", "v1", "Pod").expect("pods are served");
        assert_eq!(storage_version_hash(pods), "xPOwRZ+Yhw8=");
    }
}
