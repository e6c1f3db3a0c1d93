//! Requests that another server answers: allowed here, as a request for a resource or a path, and passed on.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use minik_api::status::Status;

use super::fairness::{Lane, seated};
use super::{Api, failure, path_allowed, seat};
use crate::aggregated::{self, Remote};
use crate::auth::{Asked, Resource, User};
use crate::subresources::proxy::switched;
use crate::subresources::streams::join;

/// Passes on what isn't this server's.
pub(super) async fn passed_on(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some((group, version, below)) = taken_apart(path) else {
        return next.run(request).await;
    };
    let found = aggregated::find(api.registry.store(), api.registry.kinds(), group, version);
    let Some(remote) = found else {
        return next.run(request).await;
    };
    let is_watch = is_watch(&request, below);
    let asked = asked(&request, group, below, is_watch);
    let allowed = allowed(&api, &request, asked.as_ref());
    let subresource = asked.map(|asked| asked.subresource.to_owned());
    let (mut parts, body) = request.into_parts();
    let lane = Lane::of(&parts, is_watch, subresource.as_deref(), &body);
    let user = parts.extensions.get::<Arc<User>>().cloned();
    let admitted = allowed.and_then(|()| seat(&api, user.as_ref(), lane));
    match (admitted, user) {
        (Ok(seat), Some(user)) => {
            let seat = Arc::new(seat);
            // For streams that go on when the answer is sent.
            parts.extensions.insert(seat.clone());
            seated(send(&api, &remote, &user, parts, body).await, seat)
        }
        (Ok(_), None) => failure(&Status::unauthorized()),
        (Err(status), _) => failure(&status),
    }
}

/// Group, version and what comes behind them, of `/apis/…` and of the documents about it.
fn taken_apart(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path
        .strip_prefix("/openapi/v3")
        .unwrap_or(path)
        .strip_prefix("/apis/")?;
    let (group, rest) = rest.split_once('/')?;
    let (version, below) = rest.split_once('/').unwrap_or((rest, ""));
    let below = if path.starts_with("/openapi") { "" } else { below };
    (!group.is_empty() && !version.is_empty()).then_some((group, version, below))
}

/// What is asked for of a resource; `None`: the path itself is asked for.
fn asked<'a>(request: &Request, group: &'a str, below: &'a str, is_watch: bool) -> Option<Resource<'a>> {
    let mut parts = below.split('/').filter(|part| !part.is_empty()).peekable();
    let mut namespace = "";
    if parts.peek() == Some(&"watch") {
        parts.next();
    }
    let mut resource = parts.next()?;
    if resource == "namespaces"
        && let Some(name) = parts.next()
    {
        namespace = name;
        resource = parts.next().unwrap_or(resource);
    }
    let name = parts.next().unwrap_or_default();
    let verb = match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ if is_watch => "watch",
        _ if name.is_empty() => "list",
        _ => "get",
    };
    Some(Resource {
        verb,
        group,
        resource,
        subresource: parts.next().unwrap_or_default(),
        namespace,
        name,
        fields: None,
    })
}

fn is_watch(request: &Request, below: &str) -> bool {
    let mut pairs = request.uri().query().unwrap_or_default().split('&');
    below.starts_with("watch/") || pairs.any(|pair| matches!(pair, "watch" | "watch=true" | "watch=1"))
}

fn allowed(api: &Api, request: &Request, asked: Option<&Resource<'_>>) -> Result<(), Status> {
    let user = request.extensions().get::<Arc<User>>();
    match asked {
        Some(asked) => {
            let user = user.ok_or_else(Status::unauthorized)?;
            api.registry.authorizer().authorize(user, &Asked::Resource(*asked))
        }
        None => path_allowed(api, request.method(), request.uri().path(), user),
    }
}

async fn send(api: &Api, remote: &Remote, user: &User, parts: Parts, body: Body) -> Response {
    if !remote.is_available() {
        return unavailable();
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let passed = http::Request::builder()
        .method(parts.method.clone())
        .uri(target)
        .body(body);
    let mut passed = match passed {
        Ok(passed) => passed,
        Err(error) => return failure(&Status::bad_request(error.to_string())),
    };
    *passed.headers_mut() = aggregated::request(&parts.headers, user, remote);
    let mut answer = match api.aggregated.send(api.registry.store(), remote, passed).await {
        Ok(answer) => answer,
        Err(why) => {
            tracing::warn!(name = remote.name, why, "a request can't be passed on");
            return unavailable();
        }
    };
    if parts.headers.contains_key(UPGRADE) && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let head = switched(answer.headers());
        let ours = Request::from_parts(parts, Body::empty());
        return join(&mut answer, ours, head, api.stop.clone());
    }
    if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
        let why = "the backend attempted to redirect this request, which is not permitted";
        return failure(&Status::failure(502, "InternalError", why));
    }
    let (mut parts, body) = answer.into_parts();
    // Theirs is of their connection.
    parts.version = http::Version::HTTP_11;
    parts.headers = aggregated::answer(&parts.headers);
    Response::from_parts(parts, Body::new(body))
}

/// No `Status`, as upstream: clients then say in their own words that the server is currently unable to handle the request.
fn unavailable() -> Response {
    let mut response = Response::new(Body::from("service unavailable\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_others_are_taken_apart() {
        for (path, expected) in [
            ("/apis/g/v1", Some(("g", "v1", ""))),
            ("/apis/g/v1/pods/p", Some(("g", "v1", "pods/p"))),
            ("/openapi/v3/apis/g/v1", Some(("g", "v1", ""))),
            ("/apis/g", None),
            ("/api/v1/pods", None),
        ] {
            assert_eq!(taken_apart(path), expected, "{path}");
        }
        let told = |method: &Method, uri: &str| {
            let request = http::Request::builder()
                .method(method)
                .uri(uri)
                .body(Body::empty())
                .expect("a request");
            let (group, _, below) = taken_apart(request.uri().path()).expect("a path of others");
            let is_watch = is_watch(&request, below);
            asked(&request, group, below, is_watch).map(|asked| {
                [
                    asked.verb,
                    asked.namespace,
                    asked.resource,
                    asked.name,
                    asked.subresource,
                ]
                .join(" ")
            })
        };
        let get = |uri: &str| told(&Method::GET, uri);
        assert_eq!(get("/apis/g/v1"), None);
        assert_eq!(get("/apis/g/v1/nodes").as_deref(), Some("list  nodes  "));
        assert_eq!(get("/apis/g/v1/nodes?a=b&watch=1").as_deref(), Some("watch  nodes  "));
        assert_eq!(
            get("/apis/g/v1/namespaces/n/pods/p/log").as_deref(),
            Some("get n pods p log")
        );
        assert_eq!(
            told(&Method::DELETE, "/apis/g/v1/namespaces/n/pods").as_deref(),
            Some("deletecollection n pods  ")
        );
    }
}
