//! What goes out: objects and lists as they are or as tables, failures as `Status`.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, StatusCode};
use minik_api::kinds::Kind;
use minik_api::status::Status;
use serde::Serialize;

use super::accept::{Accept, Form};
use super::call::Call;
use crate::kinds::versions;
use crate::registry::List;
use crate::storage::Stored;
use crate::table::{self, Include};

/// Smaller answers are sent faster than they are packed (upstream's threshold).
const GZIP_FROM: usize = 128 * 1024;

/// One object, in the form that the call asks for.
pub(crate) fn object(call: &Call, code: StatusCode, stored: &Stored, warnings: &[String]) -> Result<Response, Status> {
    let body = match form(&call.accept)? {
        Form::Plain => plain(call.path.kind, stored),
        Form::As { kind, version } => shaped(call, kind, version, &[stored], &Meta::of_one(stored))?,
    };
    let mut response = bytes(code, &call.accept, body);
    warn(&mut response, warnings);
    Ok(response)
}

/// A list, in the form that the call asks for.
pub(super) fn list(call: &Call, list: &List) -> Result<Response, Status> {
    let meta = Meta {
        resource_version: list.revision.to_string(),
        token: list.token.as_deref(),
        remaining: list.remaining,
    };
    let body = match form(&call.accept)? {
        Form::Plain => plain_list(call.path.kind, list, &meta),
        Form::As { kind, version } => {
            let items: Vec<&Stored> = list.items.iter().map(|item| &**item).collect();
            shaped(call, kind, version, &items, &meta)?
        }
    };
    Ok(bytes(StatusCode::OK, &call.accept, body))
}

/// Any JSON.
pub(crate) fn json(code: StatusCode, accept: &Accept, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers have only string keys");
    bytes(code, accept, body.into())
}

/// A failure.
pub(crate) fn failure(status: &Status) -> Response {
    let body = status.to_value().to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(RETRY_AFTER, retry.into());
    }
    response
}

/// The form that objects can be given in.
pub(super) fn form(accept: &Accept) -> Result<&Form, Status> {
    accept.choose(|kind, version| {
        ["Table", "PartialObjectMetadata", "PartialObjectMetadataList"].contains(&kind)
            && ["v1", "v1beta1"].contains(&version)
    })
}

/// What stands in the metadata of a list or table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta<'a> {
    resource_version: String,
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(rename = "remainingItemCount", skip_serializing_if = "Option::is_none")]
    remaining: Option<usize>,
}

impl Meta<'_> {
    pub(crate) fn of_one(stored: &Stored) -> Self {
        Self {
            resource_version: stored.revision.to_string(),
            token: None,
            remaining: None,
        }
    }
}

/// Objects as something else than they are: a table, or their metadata alone.
pub(super) fn shaped(
    call: &Call,
    kind: &str,
    version: &str,
    items: &[&Stored],
    meta: &Meta<'_>,
) -> Result<Bytes, Status> {
    let is_list = call.path.name.is_none() && call.verb() == "list";
    let value = match kind {
        "Table" => {
            let include = Include::parse(call.params.include_object.as_deref())?;
            table::table(call.path.kind, &*call.rules, version, items, include, meta)
        }
        _ if is_list => table::partial_list(version, items, meta),
        _ => items
            .first()
            .map(|item| table::partial(version, &item.object()))
            .unwrap_or_default(),
    };
    Ok(serde_json::to_vec(&value).expect("tables have only string keys").into())
}

/// The stored bytes, or what this version of the kind makes of them.
pub(super) fn plain(kind: &'static Kind, stored: &Stored) -> Bytes {
    if kind.stored_in.is_none() {
        return stored.json.clone();
    }
    let mut object = stored.object();
    versions::from_stored(kind, &mut object);
    serde_json::to_vec(&object)
        .expect("an object has only string keys")
        .into()
}

/// The same of many, put together.
fn plain_list(kind: &'static Kind, list: &List, meta: &Meta<'_>) -> Bytes {
    let meta = serde_json::to_string(meta).expect("metadata of a list is strings and a number");
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
        kind.kind,
        kind.api_version()
    );
    let size: usize = list.items.iter().map(|item| item.json.len() + 1).sum();
    let mut body = Vec::with_capacity(head.len() + size + 2);
    body.extend_from_slice(head.as_bytes());
    for (index, item) in list.items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&plain(kind, item));
    }
    body.extend_from_slice(b"]}");
    body.into()
}

fn bytes(code: StatusCode, accept: &Accept, body: Bytes) -> Response {
    let packed = (accept.gzip && body.len() >= GZIP_FROM).then(|| gzip(&body));
    let is_packed = packed.is_some();
    let mut response = Response::new(Body::from(packed.unwrap_or(body)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).expect("writing to memory doesn't fail");
    encoder.finish().expect("writing to memory doesn't fail").into()
}

/// `Warning: 299 - "…"`, one a warning (RFC 7234, section 5.5); kubectl shows them.
fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append("warning", value);
        }
    }
}
