//! `PUT …/NAME` and `PUT …/NAME/status`: the object as it should be.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::status::Status;

use super::{Api, Call, body, respond};
use crate::registry::Part;

/// Replaces the part by that of the body.
pub(crate) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    let (object, mut warnings) = body::object(&call, body).await?;
    let options = call.write_options();
    let updated = api
        .registry
        .update(call.target(), part, options, |_| Ok(object.clone()))
        .await?;
    warnings.extend(body::advice(&call, &updated));
    respond::object(&call, StatusCode::OK, &updated, &warnings)
}
