//! `GET pods/NAME/log`: what a container wrote, streamed from its kubelet as it comes.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use minik_api::status::Status;
use minik_api::trace;

use super::kubelet::{self, Location};
use crate::http::{Api, Call};

/// Of a failed answer's text, so much is told.
const TOLD_BYTES: usize = 4096;

/// Answers with the log as text.
pub(super) async fn get(api: &Api, call: &Call) -> Result<Response, Status> {
    let pod = kubelet::pod(&api.registry, call)?;
    let pairs = query(call)?;
    let asked = pairs
        .iter()
        .find(|(name, _)| name == "container")
        .map(|(_, value)| value.as_str());
    let container = kubelet::container(&pod, asked)?;
    let Some(to) = kubelet::location(&api.registry, &pod)? else {
        // As upstream: nothing has been written yet.
        return Ok(text(Body::empty()));
    };
    let query = call.parts.uri.query().unwrap_or_default();
    let path = format!("/containerLogs/{}/{}/{container}?{query}", pod.namespace(), pod.name());
    let request = request("GET", &path, &to, call)?.body(Body::empty());
    let request = request.map_err(|error| Status::bad_request(error.to_string()))?;
    let answer = api.kubelet.send(&to, request).await?;
    if answer.status() != StatusCode::OK {
        return Err(refused(answer).await);
    }
    Ok(text(Body::new(answer.into_body())))
}

/// The beginning of a request to a kubelet.
pub(super) fn request(method: &str, path: &str, to: &Location, call: &Call) -> Result<http::request::Builder, Status> {
    let host = match to.address {
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", to.port),
        std::net::IpAddr::V4(address) => format!("{address}:{}", to.port),
    };
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .header(trace::HEADER, call.traceparent.to_string()))
}

/// What a kubelet refused, as a `Status`: its own if it sent one.
pub(super) async fn refused(answer: http::Response<hyper::body::Incoming>) -> Status {
    let code = answer.status().as_u16();
    let body = http_body_util::Limited::new(answer.into_body(), TOLD_BYTES)
        .collect()
        .await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if let Ok(status) = serde_json::from_slice::<Status>(&body) {
        return status;
    }
    let message = String::from_utf8_lossy(&body).trim().to_owned();
    let reason = match code {
        400 => "BadRequest",
        404 => "NotFound",
        403 => "Forbidden",
        _ => "InternalError",
    };
    Status::failure(code, reason, message)
}

/// The query as it is, for what isn't an option of objects.
pub(super) fn query(call: &Call) -> Result<Vec<(String, String)>, Status> {
    let query = axum::extract::Query::try_from_uri(&call.parts.uri);
    query
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| Status::bad_request(error.to_string()))
}

fn text(body: Body) -> Response {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
