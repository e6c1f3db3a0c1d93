//! Subresources: what hangs below an object and isn't the object itself.

mod binding;
mod connect;
mod eviction;
mod finalize;
pub(crate) mod kubelet;
mod log;
pub(crate) mod proxy;
mod scale;
pub(crate) mod streams;
mod token;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use minik_api::status::Status;

use crate::http::{Api, Call, get_object, patch_object, update_object};
use crate::registry::Part;

pub(crate) use binding::create as bind;

/// Answers a call to `…/NAME/SUBRESOURCE`.
pub(crate) async fn handle(api: &Arc<Api>, call: Call, body: Body, name: &str) -> Result<Response, Status> {
    let known = call.path.kind.subresource(name).ok_or_else(Status::no_such_path)?;
    if !known.verbs.contains(&call.verb()) {
        return Err(Status::no_such_method());
    }
    let part = match name {
        // Those with the resource's own body are all written and read the same way.
        "status" => Some(Part::Status),
        "approval" | "ephemeralcontainers" | "resize" => Some(Part::Named(known.name)),
        _ => None,
    };
    if let Some(part) = part {
        return match call.method {
            Method::PUT => update_object(api, call, body, part).await,
            Method::PATCH => patch_object(api, call, body, part).await,
            _ => get_object(api, &call).await,
        };
    }
    connect::admit(api, &call, name).await?;
    match name {
        "binding" => binding::create(api, call, body).await,
        "eviction" => eviction::create(api, call, body).await,
        "finalize" => finalize::update(api, call, body).await,
        "scale" => scale::handle(api, call, body).await,
        "log" => log::get(api, &call).await,
        "proxy" => proxy::open(api, call, body).await,
        "token" => token::create(api, call, body).await,
        "exec" | "attach" | "portforward" => streams::open(api, call, name).await,
        _ => Err(Status::no_such_path()),
    }
}
