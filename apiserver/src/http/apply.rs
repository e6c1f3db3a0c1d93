//! `PATCH …/NAME` with `application/apply-patch+yaml`: the parts of the object that the client wants, as it wants them.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::params::FieldValidation;
use super::{Api, Call, body, respond};
use crate::decode;
use crate::fields::{Apply, Operation};
use crate::registry::{Part, Target};
use crate::storage::Stored;

/// Applies the document to whatever the object is at that moment, or creates it.
pub(super) async fn handle(api: &Api, call: Call, body: Body, part: Part) -> Result<Response, Status> {
    let (document, mut warnings) = document(&call, body).await?;
    let (stored, created) = apply(api, &call, document, part).await?;
    warnings.extend(body::advice(&call, &stored));
    let code = if created { StatusCode::CREATED } else { StatusCode::OK };
    respond::object(&call, code, &stored, &warnings)
}

/// Applies a document of the path's kind; tells whether that created the object. Only the resource itself can be created.
pub(crate) async fn apply(api: &Api, call: &Call, document: Value, part: Part) -> Result<(Arc<Stored>, bool), Status> {
    let kind = call.path.kind;
    let write = call.field_manager().write(kind, &*call.rules, Operation::Apply);
    let force = call.params.force.unwrap_or(false);
    let apply = Apply::new(kind, call.rules.fields_type(kind), document, force)?;
    let target = call.target();
    let wanted = |old: Option<&Object>| {
        if old.is_none() && call.path.subresource.is_some() {
            return Err(Status::not_found(kind, target.name));
        }
        let (value, managers) = apply.to(&write, old)?;
        let decoded = call.rules.decode(kind.stored(), value);
        let (mut object, _) = decoded.map_err(|error| error.status(kind))?;
        object.metadata.managed_fields = managers;
        if old.is_none() {
            check_new(&target, &mut object)?;
            call.authorize_as("create", api.registry.authorizer())?;
        }
        Ok(object)
    };
    api.registry.apply(target, part, call.write_options(), wanted).await
}

/// The document of a body, and what is odd about its text.
pub(crate) async fn document(call: &Call, body: Body) -> Result<(Value, Vec<String>), Status> {
    let bytes = body::bytes(call, body).await?;
    // YAML knows JSON, but slowly.
    let parsed = match decode::json(&bytes) {
        Ok(parsed) => parsed,
        Err(_) => {
            decode::yaml(&bytes).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?
        }
    };
    if !parsed.value.is_object() {
        return Err(Status::bad_request(
            "error decoding patch: the document has to be an object",
        ));
    }
    let odd = parsed.duplicates;
    match call.params.field_validation {
        FieldValidation::Strict if !odd.is_empty() => {
            let message = format!("error strict decoding patch: {}", odd.join(", "));
            Err(Status::bad_request(message))
        }
        FieldValidation::Ignore => Ok((parsed.value, Vec::new())),
        FieldValidation::Strict | FieldValidation::Warn => Ok((parsed.value, odd)),
    }
}

/// What is created has to be what the path says; a uid that the document gives is that of an object that is gone.
fn check_new(target: &Target<'_>, object: &mut Object) -> Result<(), Status> {
    if let Some(uid) = object.metadata.uid.as_deref().filter(|uid| !uid.is_empty()) {
        let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(Status::conflict(target.kind, target.name, &why));
    }
    let name = object.name();
    if !name.is_empty() && name != target.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    object.metadata.name = Some(target.name.to_owned());
    Ok(())
}
