//! ETags: an answer isn't sent again to a client that has it (RFC 9110, section 13.1.2). For discovery and OpenAPI, which
//! clients keep on disk.

use axum::response::Response;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The answer under this tag, or 304 when the client has it.
pub(crate) fn unless_known(headers: &HeaderMap, tag: &str, answer: impl FnOnce() -> Response) -> Response {
    let response = if is_known(headers, tag) {
        not_modified()
    } else {
        answer()
    };
    tagged(response, tag)
}

/// Whether the client has what is under this tag.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let tag = format!("\"{tag}\"");
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*")
}

/// 304.
pub(crate) fn not_modified() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// The answer with its tag.
pub(crate) fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_sent_again() {
        for (known, code) in [
            ("\"a\"", 304),
            ("\"b\", W/\"a\"", 304),
            ("*", 304),
            ("\"b\"", 200),
            ("a", 200),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(known));
            let response = unless_known(&headers, "a", Response::default);
            assert_eq!(
                (response.status().as_u16(), response.headers()[ETAG].as_bytes()),
                (code, &b"\"a\""[..]),
                "{known}"
            );
        }
    }
}
