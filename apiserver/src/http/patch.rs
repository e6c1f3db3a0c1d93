//! `PATCH …/NAME`: a change to the object as it is.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::object::Object;
use minik_api::status::Status;

use super::field_manager::{APPLY, media_type};
use super::{Api, Call, apply, body, respond};
use crate::kinds::versions;
use crate::patch;
use crate::registry::Part;

const READ: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
];

/// Applies the patch to whatever the object is at that moment.
pub(crate) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    let given = media_type(&call.parts);
    let media_type = READ.iter().position(|known| *known == given);
    let media_type = media_type.ok_or_else(|| Status::unsupported_media_type(&READ))?;
    if READ[media_type] == APPLY {
        return apply::handle(api, call, body, part).await;
    }
    let patch = body::bytes(body).await?;
    let kind = call.path.kind;
    let mut warnings = Vec::new();
    let patched = |old: &Object| {
        let mut document = old.clone();
        versions::from_stored(kind, &mut document);
        let document = document.to_value();
        let value = match media_type {
            0 => patch::json(&document, &patch),
            1 => patch::merge(&document, &patch),
            _ => patch::strategic(kind, &document, &patch),
        }?;
        let (object, complaints) = body::decode(&call, value)?;
        warnings = complaints;
        Ok(object)
    };
    let updated = api
        .registry
        .update(call.target(), part, call.write_options(), patched)
        .await?;
    warnings.extend(body::advice(&call, &updated));
    respond::object(&call, StatusCode::OK, &updated, &warnings)
}
