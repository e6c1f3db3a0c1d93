//! What goes out: objects and lists in the form that was asked for, failures as `Status`.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, StatusCode};
use minik_api::status::Status;
use serde::Serialize;

use super::accept::{Accept, Asker, Syntax};
use super::call::Call;
use super::pieces::{self, Pieces};
use super::pretty::pretty;
use super::shape::{self, Shape};
use crate::decode;
use crate::registry::List;
use crate::storage::Stored;

/// Smaller answers are sent faster than they are packed (upstream's threshold), and are made in one piece.
const LONG: usize = 128 * 1024;
/// Nobody between client and server keeps an answer.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache, private");
/// When all warnings are longer together, each is cut to so much, and when that doesn't help the rest goes (upstream's limits).
const WARNING_MAX_CHARACTERS: usize = 256;
const WARNINGS_MAX_CHARACTERS: usize = 4096;

/// One object, in the form that the call asks for.
pub(crate) fn object(call: &Call, code: StatusCode, stored: &Stored, warnings: &[String]) -> Result<Response, Status> {
    let choice = call.accept.choose(shape::is_served)?;
    let body = Shape::of(call, choice)?.object(stored)?;
    let mut response = bytes(code, &call.accept, choice.syntax, body);
    warn(&mut response, warnings);
    Ok(response)
}

/// A list, in the form that the call asks for.
pub(super) fn list(call: &Call, list: &List) -> Result<Response, Status> {
    let (accept, choice) = (&call.accept, call.accept.choose(shape::is_served)?);
    let shape = Shape::of(call, choice)?;
    if matches!(choice.syntax, Syntax::Json)
        && !accept.pretty
        && let Some(head) = shape.stored_list(list)
        && pieces::length(&head, &list.items) >= LONG
    {
        let pieces = Pieces::new(head, list.items.clone(), accept.gzip);
        return Ok(answer(StatusCode::OK, choice.syntax, accept.gzip, Body::new(pieces)));
    }
    let body = shape.list(list)?;
    Ok(bytes(StatusCode::OK, accept, choice.syntax, body))
}

/// Any JSON.
pub(crate) fn json(code: StatusCode, accept: &Accept, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers have only string keys");
    bytes(code, accept, accept.syntax(), body.into())
}

/// JSON that is written already.
pub(crate) fn json_bytes(code: StatusCode, accept: &Accept, json: Bytes) -> Response {
    bytes(code, accept, accept.syntax(), json)
}

/// The body of a failure, beside it: how it is written is seen to where the request is at hand ([`written_for`]).
#[derive(Clone)]
struct Failure(Bytes);

/// A failure.
pub(crate) fn failure(status: &Status) -> Response {
    let body = Bytes::from(status.to_value().to_string());
    let mut response = Response::new(Body::from(body.clone()));
    response.extensions_mut().insert(Failure(body));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Syntax::Json.media_type()));
    headers.insert(CACHE_CONTROL, NOT_KEPT);
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        headers.insert(RETRY_AFTER, retry.into());
    }
    response
}

/// A failure is written like what would have been there instead; JSON for whoever takes nothing that is served.
pub(super) fn written_for(asker: &Asker, mut response: Response) -> Response {
    let Some(Failure(json)) = response.extensions_mut().remove() else {
        return response;
    };
    let accept = asker.accept();
    let body = match accept.syntax() {
        Syntax::Json if accept.pretty => pretty(&json),
        Syntax::Json => return response,
        Syntax::Yaml => decode::to_yaml(&json).into(),
    };
    let media_type = HeaderValue::from_static(accept.syntax().media_type());
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    *response.body_mut() = Body::from(body);
    response
}

fn bytes(code: StatusCode, accept: &Accept, syntax: Syntax, json: Bytes) -> Response {
    let body = match syntax {
        Syntax::Json if accept.pretty => pretty(&json).into(),
        Syntax::Json => json,
        Syntax::Yaml => decode::to_yaml(&json).into(),
    };
    let packed = (accept.gzip && body.len() >= LONG).then(|| gzip(&body));
    let is_packed = packed.is_some();
    answer(code, syntax, is_packed, Body::from(packed.unwrap_or(body)))
}

fn answer(code: StatusCode, syntax: Syntax, is_packed: bool, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(syntax.media_type()));
    headers.insert(CACHE_CONTROL, NOT_KEPT);
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

/// Says of a kind that it is on its way out, whatever was asked of it.
pub(super) fn deprecated(mut response: Response, warning: Option<&str>) -> Response {
    if let Some(warning) = warning {
        warn(&mut response, &[warning.to_owned()]);
    }
    response
}

/// `Warning: 299 - "…"`, one a warning (RFC 7234, section 5.5); kubectl shows them.
fn warn(response: &mut Response, warnings: &[String]) {
    let whole: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let most = if whole > WARNINGS_MAX_CHARACTERS {
        WARNING_MAX_CHARACTERS
    } else {
        usize::MAX
    };
    let mut total = 0;
    for warning in warnings {
        let text: String = warning.chars().filter(|c| !c.is_control()).take(most).collect();
        total += text.chars().count();
        if total > WARNINGS_MAX_CHARACTERS {
            return;
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{escaped}\"").as_bytes()) {
            response.headers_mut().append("warning", value);
        }
    }
}
