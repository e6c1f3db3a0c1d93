//! `GET …/NAME`: one object.

use axum::response::Response;
use http::StatusCode;
use minik_api::status::Status;

use super::{Api, Call, respond};

/// Answers with the object, at the revision it has now, which may be newer than the one asked for but not older.
pub(crate) async fn handle(api: &Api, call: &Call) -> Result<Response, Status> {
    api.registry.reach(call.params.list.revision).await?;
    let stored = api.registry.get(call.target())?;
    respond::object(call, StatusCode::OK, &stored, &[])
}
