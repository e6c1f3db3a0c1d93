//! A watch over WebSocket (RFC 6455), for programs in browsers: an event is a text message, and what the client says is heard
//! only for whether it is still there. Otherwise it is the watch that [`super`] describes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use minik_api::status::Status;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::super::fairness::Seat;
use super::Watcher;

/// A client has nothing to say; what is longer ends the connection.
const HEARD_MAX_BYTES: usize = 4096;
/// A token in the place of a protocol: browsers can't set other headers. It isn't repeated.
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// Whether the client asks for a WebSocket.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    text(headers, &UPGRADE).eq_ignore_ascii_case("websocket")
}

/// Agrees, and sends the events once the connection is a WebSocket.
pub(super) fn open(parts: Parts, watcher: Watcher) -> Result<Response, Status> {
    let mut response = agreement(&parts.headers)?;
    *response.body_mut() = Body::empty();
    let mut request = Request::from_parts(parts, Body::empty());
    // The answer ends here, and the watch doesn't.
    let seat = request.extensions_mut().remove::<Arc<Seat>>();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _seat = seat;
        match upgraded.await {
            Ok(upgraded) => send(upgraded, watcher).await,
            Err(error) => tracing::debug!(%error, "the client went away during the upgrade"),
        }
    });
    Ok(response)
}

fn agreement(headers: &HeaderMap) -> Result<Response, Status> {
    let key = text(headers, &SEC_WEBSOCKET_KEY);
    if key.is_empty() || text(headers, &SEC_WEBSOCKET_VERSION) != "13" {
        return Err(Status::bad_request("a WebSocket has a key and version 13"));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answers = response.headers_mut();
    answers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let offered = text(headers, &SEC_WEBSOCKET_PROTOCOL).split(',').map(str::trim);
    let mut offered = offered.filter(|protocol| !protocol.is_empty() && !protocol.starts_with(TOKEN));
    if let Some(protocol) = offered.next().and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
        answers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

async fn send(upgraded: Upgraded, mut watcher: Watcher) {
    let config = WebSocketConfig::default().max_message_size(Some(HEARD_MAX_BYTES));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    loop {
        let event = tokio::select! {
            event = watcher.next() => event,
            heard = socket.next() => match heard {
                // Pings are answered below us; other messages mean nothing.
                Some(Ok(message)) if !message.is_close() => continue,
                _ => break,
            },
        };
        let Some(event) = event else { break };
        let event = String::from_utf8_lossy(event.trim_ascii_end()).into_owned();
        if socket.send(Message::text(event)).await.is_err() {
            return;
        }
    }
    // It may be gone already.
    let _ = socket.close(None).await;
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_key_is_answered_as_in_the_rfc_and_tokens_are_not_repeated() {
        let asked = headers(&[
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            (SEC_WEBSOCKET_VERSION, "13"),
            (
                SEC_WEBSOCKET_PROTOCOL,
                "base64url.bearer.authorization.k8s.io.dG9rZW4, base64.binary.k8s.io",
            ),
        ]);
        let answer = agreement(&asked).expect("all is there");
        assert_eq!(
            answer.headers()[SEC_WEBSOCKET_ACCEPT].as_bytes(),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(
            answer.headers()[SEC_WEBSOCKET_PROTOCOL].as_bytes(),
            b"base64.binary.k8s.io"
        );
        let old = headers(&[
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            (SEC_WEBSOCKET_VERSION, "8"),
        ]);
        assert_eq!(agreement(&old).expect_err("too old").code, 400);
    }
}
