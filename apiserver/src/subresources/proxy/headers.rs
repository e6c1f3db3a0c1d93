//! What goes along: of a request everything but credentials and what belongs to one connection; of an answer the same, with
//! redirects that lead back through the proxy (apimachinery's `util/proxy`).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, LOCATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

/// The path of the proxy itself, which what is behind it doesn't know.
pub(super) struct Prefix(pub(super) String);

/// Headers of one connection (RFC 9110, section 7.6.1), beside those that `Connection` names.
const HOP: [HeaderName; 4] = [TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const HOP_NAMES: [&str; 4] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
];
/// Which sites may read an answer is this server's business, not that of what is behind it.
const CORS: &str = "access-control-allow-";

/// Headers of the request that is passed on.
pub(super) fn request(parts: &Parts, prefix: &Prefix, target: &PathAndQuery) -> HeaderMap {
    let mut headers = end_to_end(&parts.headers);
    headers.remove(AUTHORIZATION);
    let impersonation: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect();
    for name in impersonation {
        headers.remove(name);
    }
    if let Some(upgrade) = parts.headers.get(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    join_cookies(&mut headers);
    let forwarded = format!("{}{}", prefix.0, target.path());
    for (name, value) in [
        (HOST, host(parts)),
        (HeaderName::from_static("x-forwarded-uri"), Some(forwarded)),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// HTTP/2 may send the pairs of a cookie one by one (RFC 9113, section 8.2.3); HTTP/1.1 knows one header.
fn join_cookies(headers: &mut HeaderMap) {
    let pairs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pairs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&pairs.join(b"; ".as_slice()))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Under which name the client knows this server.
pub(super) fn host(parts: &Parts) -> Option<String> {
    let named = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    named.or(authority).map(str::to_owned)
}

/// Headers of the answer that is passed back.
pub(super) fn answer(theirs: &HeaderMap, prefix: &Prefix, authority: &str, host: Option<&str>) -> HeaderMap {
    let mut headers = end_to_end(theirs);
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(CORS))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some(moved) = location.and_then(|location| through_the_proxy(location, prefix, authority, host))
        && let Ok(moved) = HeaderValue::from_str(&moved)
    {
        headers.insert(LOCATION, moved);
    }
    headers
}

/// Headers of an answer that switches protocols: all of the handshake.
pub(crate) fn switched(theirs: &HeaderMap) -> HeaderMap {
    let mut headers = theirs.clone();
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    headers
}

/// Where a redirect leads for somebody in front of the proxy; `None` when it leads there as it is.
fn through_the_proxy(location: &str, prefix: &Prefix, authority: &str, host: Option<&str>) -> Option<String> {
    let uri: Uri = location.parse().ok()?;
    let elsewhere = uri.host().is_some_and(|_| {
        let named = uri.authority().map(http::uri::Authority::as_str);
        named != Some(authority) && named != host
    });
    let path = uri.path();
    if elsewhere || !location_has_path(location) || path.starts_with(&prefix.0) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{path}{query}", prefix.0))
}

/// A relative path stays relative to where the client is.
fn location_has_path(location: &str) -> bool {
    location.starts_with('/') || location.contains("://")
}

/// Without what belongs to one connection.
pub(crate) fn end_to_end(all: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = all
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let of_hop = |name: &HeaderName| {
        *name == CONNECTION
            || HOP.contains(name)
            || HOP_NAMES.contains(&name.as_str())
            || named.iter().any(|named| named == name.as_str())
    };
    let kept = all.iter().filter(|(name, _)| !of_hop(name));
    let mut headers = HeaderMap::new();
    for (name, value) in kept {
        headers.append(name.clone(), value.clone());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn prefix() -> Prefix {
        Prefix("/api/v1/namespaces/a/pods/b/proxy".to_owned())
    }

    #[test]
    fn credentials_and_what_belongs_to_the_connection_stay() {
        let request_parts = Request::builder()
            .uri("https://server:6443/api/v1/namespaces/a/pods/b/proxy/x")
            .header("authorization", "Bearer t")
            .header("impersonate-user", "root")
            .header("connection", "close, x-own")
            .header("x-own", "1")
            .header("te", "trailers")
            .header("x-kept", "1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(())
            .expect("a request")
            .into_parts()
            .0;
        let target = "/x".parse().expect("a path");
        let headers = request(&request_parts, &prefix(), &target);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cookie", "host", "x-forwarded-uri", "x-kept"]);
        assert_eq!(headers["cookie"], "a=1; b=2");
        assert_eq!(headers["host"], "server:6443");
        assert_eq!(headers["x-forwarded-uri"], "/api/v1/namespaces/a/pods/b/proxy/x");
    }

    #[test]
    fn redirects_lead_back_through_the_proxy() {
        let moved = |location: &str| through_the_proxy(location, &prefix(), "10.0.0.7:80", Some("server:6443"));
        let own = "/api/v1/namespaces/a/pods/b/proxy";
        for (location, expected) in [
            ("/login?next=1", Some(format!("{own}/login?next=1"))),
            ("http://10.0.0.7:80/x/", Some(format!("{own}/x/"))),
            ("https://server:6443/x", Some(format!("{own}/x"))),
            ("https://example.com/x", None),
            ("next", None),
            ("/api/v1/namespaces/a/pods/b/proxy/x", None),
        ] {
            assert_eq!(moved(location), expected, "{location}");
        }
    }

    #[test]
    fn answers_say_nothing_about_other_sites() {
        let mut theirs = HeaderMap::new();
        theirs.insert("access-control-allow-origin", HeaderValue::from_static("*"));
        theirs.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        theirs.insert("content-type", HeaderValue::from_static("text/html"));
        theirs.insert("location", HeaderValue::from_static("/x"));
        let headers = answer(&theirs, &prefix(), "10.0.0.7:80", None);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["location"], "/api/v1/namespaces/a/pods/b/proxy/x");
    }
}
