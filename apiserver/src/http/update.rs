//! `PUT …/NAME` and `PUT …/NAME/status`: the object as it should be.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::kinds::Kind;
use minik_api::status::Status;
use minik_api::{field, schema};

use super::{Api, Call, body, respond};
use crate::registry::Part;

/// Replaces the part by that of the body.
pub(crate) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    let (object, mut warnings) = body::object(&call, body).await?;
    let options = call.write_options();
    let version = object.metadata.resource_version.as_deref().unwrap_or_default();
    let unseen = version.is_empty() && needs_version(call.path.kind);
    let updated = api
        .registry
        .update(call.target(), part, options, |_| match unseen {
            true => Err(no_version(&call)),
            false => Ok(object.clone()),
        })
        .await?;
    warnings.extend(body::advice(&call, &updated));
    respond::object(&call, StatusCode::OK, &updated, &warnings)
}

/// Kinds of which whoever replaces an object has to say which version of it they have seen: those that few write by hand, and
/// all that aren't built in (`AllowUnconditionalUpdate` of upstream's strategies).
fn needs_version(kind: &Kind) -> bool {
    match kind.group {
        "admissionregistration.k8s.io"
        | "apiextensions.k8s.io"
        | "apiregistration.k8s.io"
        | "coordination.k8s.io"
        | "node.k8s.io"
        | "policy" => true,
        "storage.k8s.io" => !["storageclasses", "volumeattributesclasses"].contains(&kind.plural),
        _ => schema::of(kind).is_none(),
    }
}

/// Upstream names the resource here, not the kind.
fn no_version(call: &Call) -> Status {
    let kind = call.path.kind;
    let path = field::Path::new("metadata").child("resourceVersion");
    let error = field::Error::invalid(&path, 0, "must be specified for an update");
    Status::invalid_resource(kind, call.target().name, &[error])
}
