//! A request to the API server as ours, and its answer back: streams and upgraded connections included.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::client::Body;

/// No request to an API server is as large; what goes to a service through it may be larger than an object.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The body of what is answered.
pub type Answer = UnsyncBoxBody<Bytes, kube::Error>;

/// Headers that concern one connection, not the request (RFC 9110, section 7.6.1), and the host that was asked.
const OF_THE_CONNECTION: [header::HeaderName; 8] = [
    header::HOST,
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The way to the API server.
pub struct Forward {
    client: kube::Client,
    /// Where the API is found here: `/`, or `/prefix/`.
    prefix: String,
}

impl Forward {
    /// Serves the API below `prefix`.
    #[must_use]
    pub fn new(client: kube::Client, prefix: &str) -> Self {
        let inner = prefix.trim_matches('/');
        let prefix = if inner.is_empty() {
            "/".to_owned()
        } else {
            format!("/{inner}/")
        };
        Self { client, prefix }
    }

    /// The server's answer, or why there is none.
    pub async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let Some(uri) = beneath(request.uri(), &self.prefix) else {
            return Ok(plain(StatusCode::NOT_FOUND, "404 page not found"));
        };
        let upgrades = request.headers().contains_key(header::UPGRADE);
        let here = upgrades.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
            return Ok(plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is too large for this proxy",
            ));
        };
        let mut onward = Request::new(Body::from(body.to_bytes()));
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = uri;
        *onward.headers_mut() = onward_headers(&parts.headers, upgrades);
        let mut answer = match self.client.send(onward).await {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(plain(
                    StatusCode::BAD_GATEWAY,
                    &format!("Error while proxying request: {error}"),
                ));
            }
        };
        if let Some(here) = here.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
            let there = hyper::upgrade::on(&mut answer);
            tokio::spawn(async move {
                if let (Ok(here), Ok(there)) = futures::join!(here, there) {
                    // Either side ends it.
                    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(here), &mut TokioIo::new(there)).await;
                }
            });
        }
        let (mut parts, body) = answer.into_parts();
        if parts.status != StatusCode::SWITCHING_PROTOCOLS {
            parts.headers.remove(header::CONNECTION);
            parts.headers.remove(header::TRANSFER_ENCODING);
        }
        // Made anew: what the other connection was is no business of this one.
        let mut onward = Response::new(body.boxed_unsync());
        *onward.status_mut() = parts.status;
        *onward.headers_mut() = parts.headers;
        Ok(onward)
    }
}

/// The path and query as the server has them; nothing for paths that aren't the API's here. Pure.
fn beneath(uri: &Uri, prefix: &str) -> Option<Uri> {
    let asked = uri.path_and_query()?.as_str();
    let rest = asked.strip_prefix(prefix)?;
    format!("/{rest}").parse().ok()
}

/// The headers without those of the connection; an upgrade's are the request's own. Pure.
fn onward_headers(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let mut onward = headers.clone();
    for name in &OF_THE_CONNECTION {
        onward.remove(name);
    }
    if upgrades {
        for name in [header::CONNECTION, header::UPGRADE] {
            if let Some(value) = headers.get(&name) {
                onward.insert(name, value.clone());
            }
        }
    }
    onward
}

/// An answer of our own.
#[must_use]
pub fn plain(status: StatusCode, text: &str) -> Response<Answer> {
    bytes(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")))
}

/// An answer with a body of a type.
#[must_use]
pub fn bytes(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Answer> {
    let body = Full::new(body).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_servers() {
        let of = |path: &str, prefix: &str| beneath(&path.parse().expect("a path"), prefix).map(|uri| uri.to_string());
        assert_eq!(of("/api/v1?a=b", "/").as_deref(), Some("/api/v1?a=b"));
        assert_eq!(of("/mine/api/v1", "/mine/").as_deref(), Some("/api/v1"));
        assert_eq!(of("/other/api/v1", "/mine/"), None);
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "localhost"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("accept", "*/*"),
        ] {
            let name: header::HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        let onward = onward_headers(&headers, false);
        assert_eq!(
            onward.keys().map(header::HeaderName::as_str).collect::<Vec<_>>(),
            ["accept"]
        );
        let onward = onward_headers(&headers, true);
        assert!(onward.contains_key("upgrade") && onward.contains_key("connection") && !onward.contains_key("host"));
    }
}
