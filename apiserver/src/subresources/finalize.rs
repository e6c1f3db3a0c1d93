//! `PUT namespaces/NAME/finalize`: whoever has emptied a namespace takes its finalizer away.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::json;

use crate::http::{Api, Call, object, respond_object};
use crate::registry::Part;

/// Takes `spec.finalizers` of the body.
pub(super) async fn update(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let (wanted, warnings) = object(&call, body).await?;
    let finalizers = wanted.at("spec.finalizers").cloned().unwrap_or_else(|| json!([]));
    let finalized = |old: &Object| {
        let mut new = old.clone();
        new.metadata
            .resource_version
            .clone_from(&wanted.metadata.resource_version);
        new.body.entry("spec").or_insert_with(|| json!({}))["finalizers"] = finalizers.clone();
        Ok(new)
    };
    let updated = api
        .registry
        .update(call.target(), Part::Own, call.write_options(), finalized)
        .await?;
    respond_object(&call, StatusCode::OK, &updated, &warnings)
}
