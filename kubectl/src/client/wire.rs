//! `-v`: the requests and answers as they go over the wire, in the lines that kubectl (klog) writes.
//!
//! 6 shows each answer's status, 7 the requests' headers too, 8 the answers' headers and what was said (a thousand bytes of
//! it), 9 a curl command and more of what was said, 10 all of it. Credentials are never shown.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use jiff::Timestamp;
use tower::Service;

/// A service whose requests and answers are shown.
#[derive(Clone)]
pub struct Shown<S> {
    inner: S,
    verbosity: u8,
}

impl<S> Shown<S> {
    /// Shows what goes through `inner` as far as `verbosity` asks for it.
    pub fn new(inner: S, verbosity: u8) -> Self {
        Self { inner, verbosity }
    }
}

impl<S, B, A> Service<Request<B>> for Shown<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verbosity = self.verbosity;
        if verbosity < 6 {
            return Box::pin(self.inner.call(request));
        }
        let request_line = format!("verb=\"{}\" url=\"{}\"", request.method(), request.uri());
        match verbosity {
            6 => {}
            7 | 8 => say(&format!(
                "\"Request\" {request_line} headers=<\n{} >",
                lines(request.headers())
            )),
            _ => say(&format!("\"Request\" curlCommand=<\n\t{}\n >", curl(&request))),
        }
        let started = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let milliseconds = started.elapsed().as_millis();
            let again = if matches!(verbosity, 7 | 8) {
                String::new()
            } else {
                format!("{request_line} ")
            };
            let headers = if verbosity >= 8 {
                format!("headers=<\n{} > ", lines(answer.headers()))
            } else {
                String::new()
            };
            say(&format!(
                "\"Response\" {again}status=\"{}\" {headers}milliseconds={milliseconds}",
                answer.status()
            ));
            Ok(answer)
        })
    }
}

/// Shows a body, from 8 on.
pub fn show_body(verbosity: u8, what: &str, body: &[u8]) {
    if verbosity < 8 {
        return;
    }
    let limit = match verbosity {
        8 => 1 << 10,
        9 => 10 << 10,
        _ => usize::MAX,
    };
    let text = String::from_utf8_lossy(body);
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = match text.len() - end {
        0 => String::new(),
        rest => format!(" [truncated {rest} chars]"),
    };
    say(&format!("\"{what}\" body={:?}", format!("{}{cut}", &text[..end])));
}

/// Writes one line of log as klog does: `I1121 11:15:12.740547    8435 wire.rs] …`.
pub fn say(text: &str) {
    let now = Timestamp::now().strftime("%m%d %H:%M:%S%.6f");
    let process = std::process::id();
    // Nothing can be said when stderr is gone.
    let _ = writeln!(anstream::stderr(), "I{now} {process:7} wire.rs] {text}");
}

/// The headers, one a line, by name.
fn lines(headers: &HeaderMap) -> String {
    let mut shown: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("\t{}: {}\n", spelled(name), masked(name, value)))
        .collect();
    shown.sort();
    shown.concat()
}

fn curl<B>(request: &Request<B>) -> String {
    let mut command = format!("curl -v -X{} ", request.method());
    let mut headers: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!(" -H \"{}: {}\"", spelled(name), masked(name, value)))
        .collect();
    headers.sort();
    // Writing to a string does not fail.
    let _ = write!(command, "{} '{}'", headers.concat(), request.uri());
    command
}

/// `content-type` as HTTP/1.1 writes it: `Content-Type`.
fn spelled(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect::<Vec<_>>().join("-")
}

/// A header's value, without what would let others in.
fn masked(name: &HeaderName, value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    if name != http::header::AUTHORIZATION {
        return text;
    }
    match text.split_once(' ') {
        Some((scheme @ ("Bearer" | "Basic" | "Negotiate"), _)) => format!("{scheme} <masked>"),
        _ => "<masked>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let request = Request::get("https://h/api?x=y")
            .header("authorization", "Bearer secret")
            .header("content-type", "application/json")
            .body(())
            .expect("a request");
        assert_eq!(
            lines(request.headers()),
            "\tAuthorization: Bearer <masked>\n\tContent-Type: application/json\n"
        );
        assert_eq!(
            curl(&request),
            "curl -v -XGET  -H \"Authorization: Bearer <masked>\" -H \"Content-Type: application/json\" 'https://h/api?x=y'"
        );
        let odd = HeaderValue::from_static("secret");
        assert_eq!(masked(&http::header::AUTHORIZATION, &odd), "<masked>");
    }
}
