//! Patches: a document and what is to become of it, to the new document. Pure.
//!
//! `json` is RFC 6902, `merge` is RFC 7386, `strategic` is Kubernetes' own, which knows how each field's lists merge. What
//! comes out is decoded and validated like any body. minikctl, too, patches by it what no server is asked about.

mod list;
mod strategic;

use minik_api::kinds::Kind;
use minik_api::schema;
use minik_api::status::Status;
use serde_json::Value;

/// Limit on the operations of one JSON patch, as upstream.
const OPERATIONS_MAX: usize = 10_000;

/// Limit on what its `copy` operations add up to: each can double the document.
const COPIED_MAX_BYTES: usize = 3 * 1024 * 1024;

/// Applies a JSON patch.
///
/// # Errors
/// 400 when it is none, 413 when it is too long, 422 when one of its operations can't be done or its test fails.
pub fn json(document: &Value, patch: &[u8]) -> Result<Value, Status> {
    let json_patch::Patch(operations) = serde_json::from_slice(patch).map_err(|error| undecodable(&error))?;
    if operations.len() > OPERATIONS_MAX {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        );
        return Err(Status::failure(413, "RequestEntityTooLarge", message));
    }
    let (mut patched, mut copied) = (document.clone(), 0);
    for (index, operation) in operations.iter().enumerate() {
        if let json_patch::PatchOperation::Copy(copy) = operation {
            copied += patched
                .pointer(&copy.from.to_string())
                .map_or(0, |value| value.to_string().len());
        }
        if copied > COPIED_MAX_BYTES {
            let limit = format!("what it copies comes to more than {COPIED_MAX_BYTES} bytes");
            return Err(unprocessable(index, operation, &limit));
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation))
            .map_err(|error| unprocessable(index, operation, &error.kind.to_string()))?;
    }
    Ok(patched)
}

fn unprocessable(index: usize, operation: &json_patch::PatchOperation, why: &str) -> Status {
    let message = format!(
        "the server rejected our request due to an error in our request: operation {index} of the patch at {:?}: {why}",
        operation.path().to_string()
    );
    Status::failure(422, "Invalid", message)
}

/// Applies a merge patch.
///
/// # Errors
/// 400 when it is no JSON object.
pub fn merge(document: &Value, patch: &[u8]) -> Result<Value, Status> {
    let patch = object(patch)?;
    let mut patched = document.clone();
    json_patch::merge(&mut patched, &patch);
    Ok(patched)
}

/// Applies a strategic merge patch.
///
/// # Errors
/// 400 when it is no JSON object or misuses a directive, 415 for kinds that aren't built in: how their lists merge isn't known.
pub fn strategic(kind: &Kind, document: &Value, patch: &[u8]) -> Result<Value, Status> {
    let Some(shape) = schema::of(kind) else {
        return Err(Status::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
        ]));
    };
    let (Value::Object(document), Value::Object(patch)) = (document.clone(), object(patch)?) else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    strategic::merge(document, patch, Some(shape))
        .map(Value::Object)
        .map_err(|error| Status::bad_request(error.to_string()))
}

fn object(patch: &[u8]) -> Result<Value, Status> {
    let patch: Value = serde_json::from_slice(patch).map_err(|error| undecodable(&error))?;
    if patch.is_object() {
        Ok(patch)
    } else {
        Err(Status::bad_request(
            "error decoding patch: the patch has to be a JSON object",
        ))
    }
}

fn undecodable(error: &serde_json::Error) -> Status {
    Status::bad_request(format!("error decoding patch: {error}"))
}

#[cfg(test)]
mod tests;
