//! `pods|services|nodes/NAME/proxy/PATH`: any HTTP request, and any upgrade, passed on to a pod, to a pod behind a service, or
//! to a kubelet.
//!
//! ```text
//! NAME = [scheme:]name[:port]  --asked.rs-->  what is asked   --place.rs-->  address   --headers.rs-->  their request
//!                                                                            client  <--headers.rs--  their answer
//! ```
//! Bodies are streams of bytes in both directions and are never looked into: links within pages aren't rewritten, the
//! `Location` of a redirect is. What the client trusted this server with, its credentials, stays here.

mod asked;
mod connect;
mod headers;
mod place;

use axum::body::Body;
use axum::response::Response;
use http::header::{LOCATION, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode};
use minik_api::status::Status;

use super::streams;
use crate::http::{Api, Call};
pub(crate) use connect::AnyCertificate;
pub(crate) use headers::{end_to_end, switched};

use asked::Asked;
use headers::Prefix;
use place::Place;

/// Passes a request on, and its answer back.
pub(super) async fn open(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let name = call.path.name.as_deref().unwrap_or_default();
    let asked = Asked::parse(name)
        .ok_or_else(|| Status::bad_request(format!("invalid {} request {name:?}", call.path.kind.singular)))?;
    let place = place::find(&api.registry, &call, &asked)?;
    let path = call.parts.uri.path();
    let (prefix, below) = split(path, call.path.namespace.is_some());
    if below.is_empty() && matches!(call.method, Method::GET | Method::HEAD) {
        return Ok(to_the_root(path, call.parts.uri.query()));
    }
    let target = target(below, call.parts.uri.query())?;
    let prefix = Prefix(prefix.to_owned());
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(target.as_str())
        .body(body)
        .map_err(|error| Status::bad_request(error.to_string()))?;
    *request.headers_mut() = headers::request(&call.parts, &prefix, &target);
    let upgrades = call.parts.headers.contains_key(UPGRADE);
    let mut answer = match &place {
        Place::Kubelet(kubelet) => api.kubelet.send(kubelet, request).await?,
        Place::Address(address) => connect::send(address, request).await?,
    };
    if upgrades && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let head = headers::switched(answer.headers());
        let ours = axum::extract::Request::from_parts(call.parts, Body::empty());
        return Ok(streams::join(&mut answer, ours, head, api.stop.clone()));
    }
    let (mut parts, body) = answer.into_parts();
    let host = headers::host(&call.parts);
    // Theirs is of their connection.
    parts.version = http::Version::HTTP_11;
    parts.headers = headers::answer(&parts.headers, &prefix, &place.authority(), host.as_deref());
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// The path up to and with `/proxy`, and what comes behind it, as it was sent: percent-encoded.
fn split(path: &str, namespaced: bool) -> (&str, &str) {
    // /api/v1/nodes/NAME/proxy, /api/v1/namespaces/NAMESPACE/pods/NAME/proxy
    let slashes = if namespaced { 8 } else { 6 };
    let end = path
        .match_indices('/')
        .nth(slashes - 1)
        .map_or(path.len(), |(at, _)| at);
    path.split_at(end)
}

/// Relative links of a page lead somewhere only if its own path ends with a slash.
fn to_the_root(path: &str, query: Option<&str>) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{query}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Unlike what this server hasn't got ready yet, this needn't get better by itself: clients aren't told to try again.
fn unavailable(message: impl Into<String>) -> Status {
    Status::failure(503, "ServiceUnavailable", message)
}

fn target(below: &str, query: Option<&str>) -> Result<PathAndQuery, Status> {
    let path = if below.is_empty() { "/" } else { below };
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    text.parse()
        .map_err(|error: http::uri::InvalidUri| Status::bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_proxy_is_theirs() {
        for (path, namespaced, expected) in [
            (
                "/api/v1/namespaces/a/pods/b/proxy",
                true,
                ("/api/v1/namespaces/a/pods/b/proxy", ""),
            ),
            (
                "/api/v1/namespaces/a/pods/b/proxy//x%2Fy/",
                true,
                ("/api/v1/namespaces/a/pods/b/proxy", "//x%2Fy/"),
            ),
            ("/api/v1/nodes/n/proxy/", false, ("/api/v1/nodes/n/proxy", "/")),
        ] {
            assert_eq!(split(path, namespaced), expected);
        }
        assert_eq!(target("/a", Some("b=c")).expect("a path").as_str(), "/a?b=c");
        assert_eq!(target("", None).expect("a path").as_str(), "/");
        let moved = to_the_root("/p/proxy", Some("q"));
        assert_eq!(moved.headers()[LOCATION], "/p/proxy/?q");
    }
}
