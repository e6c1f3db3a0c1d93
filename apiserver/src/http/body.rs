//! What comes in: bodies, read up to a limit and within a time, parsed and decoded.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::call::Call;
use super::params::FieldValidation;
use crate::decode::{self, DecodeError, Parsed};
use crate::kinds::versions;
use crate::storage::Stored;

/// As upstream's.
const LIMIT_BYTES: usize = 3 * 1024 * 1024;
/// Of a longer body so much more is heard before it is refused.
const HEARD_BYTES: usize = 8 * 1024 * 1024;
/// Of a body that can't be read, so much is shown.
const SHOWN_BYTES: usize = 30;
const READ: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// The object in the body as it is kept, without what its kind hasn't got, and the warnings about that.
pub(crate) async fn object(call: &Call, body: Body) -> Result<(Object, Vec<String>), Status> {
    let kind = call.path.kind;
    let parsed = match parsed(call, body).await? {
        Some(parsed) => parsed,
        // The parser says why nothing is no object.
        None => decode::json(b"").map_err(|error| unrecognized(&error, kind, b""))?,
    };
    let validation = call.params.field_validation;
    let (mut object, mut unknown) = call
        .rules
        .decode(kind, parsed.value)
        .map_err(|error| error.status(kind))?;
    versions::to_stored(kind, &mut object);
    unknown.splice(0..0, parsed.duplicates);
    let warnings = judged(kind, unknown, validation)?;
    Ok((object, warnings))
}

/// The same for a value that was made here out of a patch; an error is what is wrong with that.
pub(super) fn decode(call: &Call, value: Value) -> Result<(Object, Vec<String>), String> {
    let kind = call.path.kind;
    let (mut object, unknown) = call.rules.decode(kind, value).map_err(|error| error.to_string())?;
    versions::to_stored(kind, &mut object);
    let warnings = match call.params.field_validation {
        FieldValidation::Strict if !unknown.is_empty() => return Err(decode::strict_error(&unknown)),
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Strict | FieldValidation::Warn => unknown,
    };
    Ok((object, warnings))
}

/// The body as JSON; `None` when there is none.
pub(crate) async fn value(call: &Call, body: Body) -> Result<Option<Value>, Status> {
    Ok(parsed(call, body).await?.map(|parsed| parsed.value))
}

/// The body as it is.
pub(super) async fn bytes(call: &Call, body: Body) -> Result<Bytes, Status> {
    let time = call.body_timeout;
    match tokio::time::timeout(time, read(body)).await {
        Ok(read) => read,
        Err(_) => Err(Status::failure(
            408,
            "Timeout",
            format!("the body didn't arrive within {} seconds", time.as_secs()),
        )),
    }
}

/// What is too long is still heard for a while: a client that isn't listened to may not listen either.
async fn read(mut body: Body) -> Result<Bytes, Status> {
    let (mut read, mut length) = (BytesMut::new(), 0);
    while length <= LIMIT_BYTES + HEARD_BYTES
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Status::bad_request(format!("the body can't be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= LIMIT_BYTES {
            read.extend_from_slice(&data);
        } else {
            read = BytesMut::new();
        }
    }
    if length > LIMIT_BYTES {
        return Err(Status::too_large(LIMIT_BYTES));
    }
    Ok(read.freeze())
}

/// What isn't wrong with an object but will hurt, and what admission says.
pub(super) fn advice(call: &Call, stored: &Stored) -> Vec<String> {
    let mut all = call.rules.warnings(&stored.object());
    all.extend(call.warnings.take());
    all
}

async fn parsed(call: &Call, body: Body) -> Result<Option<Parsed>, Status> {
    let kind = call.path.kind;
    let header = call
        .parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = header
        .and_then(|value| value.split(';').next())
        .unwrap_or("application/json")
        .trim()
        .to_owned();
    let bytes = bytes(call, body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let parsed = match media_type.as_str() {
        "application/json" | "*/*" => decode::json(&bytes),
        "application/yaml" => decode::yaml(&bytes),
        // What kubectl create sends, and doesn't try again as JSON.
        "application/vnd.kubernetes.protobuf" => decode::protobuf(&bytes),
        _ => return Err(Status::unsupported_media_type(&READ)),
    };
    parsed.map(Some).map_err(|error| unrecognized(&error, kind, &bytes))
}

/// Shows how the body begins: as text when it may be JSON, as hexadecimal digits otherwise.
fn unrecognized(error: &DecodeError, kind: &Kind, bytes: &[u8]) -> Status {
    let begin = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut shown = match begin.first() {
        None => "<empty>".into(),
        Some(b'{') => String::from_utf8_lossy(begin).into_owned(),
        Some(_) => begin.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if begin.len() < bytes.len() {
        shown += " ...";
    }
    let mut status = error.status(kind);
    status.message = format!("{} ({shown})", status.message);
    status
}

fn judged(kind: &Kind, unknown: Vec<String>, validation: FieldValidation) -> Result<Vec<String>, Status> {
    match validation {
        FieldValidation::Strict if !unknown.is_empty() => Err(decode::strict_status(kind, &unknown)),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict | FieldValidation::Warn => Ok(unknown),
    }
}
