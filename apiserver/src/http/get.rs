//! `GET …/NAME`: one object.

use axum::response::Response;
use http::StatusCode;
use minik_api::status::Status;

use super::{Api, Call, respond};
use crate::registry;

/// Answers with the object, at the revision it has now, which may be newer than the one asked for but not older.
pub(crate) fn handle(api: &Api, call: &Call) -> Result<Response, Status> {
    let newest = api.registry.store().revision();
    if let Some(asked) = call.params.list.revision.filter(|asked| *asked > newest) {
        return Err(registry::too_large(asked, newest));
    }
    let stored = api.registry.get(call.target())?;
    respond::object(call, StatusCode::OK, &stored, &[])
}
