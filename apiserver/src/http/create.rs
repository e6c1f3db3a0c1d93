//! `POST` to a collection: a new object.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::status::Status;

use super::{Api, Call, body, respond};

/// Creates what the body says.
pub(super) async fn handle(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    if call.path.kind.namespaced && call.path.namespace.is_none() {
        return Err(Status::no_such_method());
    }
    let (object, mut warnings) = body::object(&call, body).await?;
    let created = api
        .registry
        .create(call.path.kind, call.namespace(), object, call.write_options())
        .await?;
    warnings.extend(body::advice(&call, &created));
    respond::object(&call, StatusCode::CREATED, &created, &warnings)
}
