//! Subresources: what hangs below an object and isn't the object itself.

mod binding;
mod finalize;
pub(crate) mod kubelet;
mod log;
mod proxy;
mod streams;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use minik_api::status::Status;

use crate::http::{Api, Call, get_object, patch_object, update_object};
use crate::registry::Part;

/// Answers a call to `…/NAME/SUBRESOURCE`.
pub(crate) async fn handle(api: &Arc<Api>, call: Call, body: Body, name: &str) -> Result<Response, Status> {
    let known = call.path.kind.subresource(name).ok_or_else(Status::no_such_path)?;
    if !known.verbs.contains(&call.verb()) {
        return Err(Status::method_not_allowed(call.method.as_str(), call.path.kind.plural));
    }
    match (name, &call.method) {
        ("status", &Method::GET) => get_object(api, &call),
        ("status", &Method::PUT) => update_object(api, call, body, Part::Status).await,
        ("status", &Method::PATCH) => patch_object(api, call, body, Part::Status).await,
        ("approval", &Method::GET) => get_object(api, &call),
        ("approval", &Method::PUT) => update_object(api, call, body, Part::Named("approval")).await,
        ("approval", &Method::PATCH) => patch_object(api, call, body, Part::Named("approval")).await,
        ("binding", _) => binding::create(api, call, body).await,
        ("finalize", _) => finalize::update(api, call, body).await,
        ("log", _) => log::get(api, &call).await,
        ("proxy", _) => proxy::open(api, call, body).await,
        ("exec" | "attach" | "portforward", _) => streams::open(api, call, name).await,
        _ => Err(Status::no_such_path()),
    }
}
