//! `PATCH …/NAME`: a change to the object as it is.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use minik_api::object::Object;
use minik_api::status::Status;

use super::{Api, Call, body, respond};
use crate::kinds::versions;
use crate::patch;
use crate::registry::Part;

const READ: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Applies the patch to whatever the object is at that moment.
pub(crate) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    let media_type = media_type(&call)?;
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

/// Which of the media types the patch has.
fn media_type(call: &Call) -> Result<usize, Status> {
    let header = call
        .parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let given = header
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    READ.iter()
        .position(|known| *known == given)
        .ok_or_else(|| Status::unsupported_media_type(&READ))
}
