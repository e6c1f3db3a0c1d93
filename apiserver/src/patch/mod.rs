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

use crate::decode::{complaint, type_name};

/// Limit on the operations of one JSON patch, as upstream.
const OPERATIONS_MAX: usize = 10_000;

/// Limit on what its `copy` operations add up to: each can double the document.
const COPIED_MAX_BYTES: usize = 3 * 1024 * 1024;

/// What is stored is read again by a parser that goes 128 levels deep, and no body can be deeper; by steps, a patch could.
const DEPTH_MAX: usize = 120;

/// Limit on the values that one JSON patch moves around: what is moved is looked through each time.
const LOOKED_MAX: usize = 1_000_000;

/// Applies a JSON patch.
///
/// # Errors
/// 400 when it is none, 413 when it is too long, 422 when one of its operations can't be done or its test fails.
pub fn json(document: &Value, patch: &[u8]) -> Result<Value, Status> {
    let json_patch::Patch(operations) = serde_json::from_slice(patch).map_err(|error| no_operations(patch, &error))?;
    if operations.len() > OPERATIONS_MAX {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        );
        return Err(Status::failure(413, "RequestEntityTooLarge", message));
    }
    let (mut patched, mut copied, mut looked) = (document.clone(), 0, 0);
    for (index, operation) in operations.iter().enumerate() {
        let refused = |why: String| Err(unprocessable(index, operation, &why));
        let levels = DEPTH_MAX.saturating_sub(operation.path().tokens().count());
        if arriving(operation, &patched).is_some_and(|value| is_deeper(value, levels, &mut looked)) {
            return refused(format!("what comes of it is nested more than {DEPTH_MAX} levels deep"));
        }
        if let json_patch::PatchOperation::Copy(copy) = operation {
            copied += patched
                .pointer(&copy.from.to_string())
                .map_or(0, |value| value.to_string().len());
        }
        if copied > COPIED_MAX_BYTES {
            return refused(format!("what it copies comes to more than {COPIED_MAX_BYTES} bytes"));
        }
        if looked > LOOKED_MAX {
            return refused(format!("what it moves comes to more than {LOOKED_MAX} values"));
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation))
            .map_err(|error| unprocessable(index, operation, &error.kind.to_string()))?;
    }
    Ok(patched)
}

/// The value that the operation puts somewhere.
fn arriving<'a>(operation: &'a json_patch::PatchOperation, document: &'a Value) -> Option<&'a Value> {
    match operation {
        json_patch::PatchOperation::Add(add) => Some(&add.value),
        json_patch::PatchOperation::Replace(replace) => Some(&replace.value),
        json_patch::PatchOperation::Copy(copy) => document.pointer(&copy.from.to_string()),
        json_patch::PatchOperation::Move(moved) => document.pointer(&moved.from.to_string()),
        json_patch::PatchOperation::Remove(_) | json_patch::PatchOperation::Test(_) => None,
    }
}

/// Whether there are more levels of objects and lists than these; counts the values that it looks at.
fn is_deeper(value: &Value, levels: usize, looked: &mut usize) -> bool {
    *looked += 1;
    let mut below: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => return false,
    };
    match levels.checked_sub(1) {
        None => true,
        Some(levels) => below.any(|value| is_deeper(value, levels, looked)),
    }
}

fn unprocessable(index: usize, operation: &json_patch::PatchOperation, why: &str) -> Status {
    let message = format!(
        "the server rejected our request due to an error in our request: operation {index} of the patch at {:?}: {why}",
        operation.path().to_string()
    );
    let mut status = Status::failure(422, "Invalid", message);
    status.details = Some(Box::default());
    status
}

/// Applies a merge patch.
///
/// # Errors
/// 400 when it is no JSON object.
pub fn merge(document: &Value, patch: &[u8]) -> Result<Value, Status> {
    let patch = object(patch).map_err(undecodable)?;
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
    let (Value::Object(document), Value::Object(patch)) =
        (document.clone(), object(patch).map_err(Status::bad_request)?)
    else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    strategic::merge(document, patch, Some(shape))
        .map(Value::Object)
        .map_err(|error| Status::bad_request(error.to_string()))
}

/// What Go says of a patch that is none.
fn object(patch: &[u8]) -> Result<Value, String> {
    let patch: Value = serde_json::from_slice(patch).map_err(|error| complaint(&error))?;
    match type_name(&patch) {
        "object" => Ok(patch),
        other => Err(format!(
            "json: cannot unmarshal {other} into Go value of type map[string]interface {{}}"
        )),
    }
}

fn no_operations(patch: &[u8], error: &serde_json::Error) -> Status {
    match serde_json::from_slice(patch).as_ref().map(type_name) {
        Ok("array") | Err(_) => undecodable(complaint(error)),
        Ok(other) => {
            let what = "Go value of type []handlers.jsonPatchOp";
            undecodable(format!("json: cannot unmarshal {other} into {what}"))
        }
    }
}

fn undecodable(why: String) -> Status {
    Status::bad_request(format!("error decoding patch: {why}"))
}

#[cfg(test)]
mod tests;
