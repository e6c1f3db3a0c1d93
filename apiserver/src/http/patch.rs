//! `PATCH …/NAME`: a change to the object as it is.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use minik_api::field;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

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

/// A patch, as it was sent.
pub(crate) struct Patch {
    /// Which of the media types it has.
    media_type: usize,
    bytes: Bytes,
}

impl Patch {
    /// Reads the body of a call.
    pub(crate) async fn read(call: &Call, body: Body) -> Result<Self, Status> {
        let given = media_type(&call.parts);
        let media_type = READ.iter().position(|known| *known == given && *known != APPLY);
        let media_type = media_type.ok_or_else(|| Status::unsupported_media_type(&READ))?;
        let bytes = body::bytes(call, body).await?;
        Ok(Self { media_type, bytes })
    }

    /// What it makes of an object of this kind.
    pub(crate) fn apply(&self, kind: &'static Kind, document: &Value) -> Result<Value, Status> {
        match self.media_type {
            0 => patch::json(document, &self.bytes),
            1 => patch::merge(document, &self.bytes),
            _ => patch::strategic(kind, document, &self.bytes),
        }
    }

    /// What it makes of the document is no object: the answer shows that, or of a strategic merge patch the patch itself.
    fn refused(&self, kind: &'static Kind, document: &Value, why: String) -> Result<Status, Status> {
        let shown = match self.media_type {
            0 | 1 => self.apply(kind, document)?.to_string(),
            _ => String::from_utf8_lossy(&self.bytes).into_owned(),
        };
        let error = field::Error::invalid(&field::Path::new("patch"), shown, why);
        Ok(Status::invalid_patch(&error))
    }
}

/// Whether the body is a document to be applied, which is no patch of what is there.
pub(crate) fn is_apply(call: &Call) -> bool {
    media_type(&call.parts) == APPLY
}

/// Applies the patch to whatever the object is at that moment.
pub(crate) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    if is_apply(&call) {
        return apply::handle(api, call, body, part).await;
    }
    let patch = Patch::read(&call, body).await?;
    let kind = call.path.kind;
    let mut warnings = Vec::new();
    let patched = |old: &Object| {
        let mut document = old.clone();
        versions::from_stored(kind, &mut document);
        let document = document.to_value();
        let value = patch.apply(kind, &document)?;
        let decoded = body::decode(&call, value);
        let (object, complaints) = decoded.or_else(|why| Err(patch.refused(kind, &document, why)?))?;
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
