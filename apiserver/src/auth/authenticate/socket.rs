//! Browsers can't set headers of a WebSocket: their token comes as one of the protocols that they offer,
//! `base64url.bearer.authorization.k8s.io.TOKEN` (upstream's `websocket.ProtocolAuthenticator`). It is taken out of the list
//! before anybody else sees it, and goes on as if it had been a header.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue};
use minik_api::status::Status;

const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Moves a token from the protocols to where tokens stand.
///
/// # Errors
/// When it is none, there are several, or nothing is left to speak.
pub(crate) fn move_token(headers: &mut HeaderMap) -> Result<(), Status> {
    let is_socket = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if !is_socket.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Ok(());
    }
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<String> = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .collect();
    let (tokens, others): (Vec<&String>, Vec<&String>) = offered.iter().partition(|one| one.starts_with(PREFIX));
    let token = match tokens.as_slice() {
        [] => return Ok(()),
        [token] if !others.is_empty() => &token[PREFIX.len()..],
        _ => return Err(Status::unauthorized()),
    };
    let bearer = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", &bytes[..]].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    });
    let bearer = bearer.ok_or_else(Status::unauthorized)?;
    let left = others.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ");
    let left = HeaderValue::from_str(&left).map_err(|_| Status::unauthorized())?;
    headers.insert(SEC_WEBSOCKET_PROTOCOL, left);
    headers.entry(AUTHORIZATION).or_insert(bearer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_among_the_protocols_is_taken_out() {
        let moved = |upgrade: &'static str, protocols: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
            headers.insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_str(protocols).expect("a header"),
            );
            move_token(&mut headers).map_err(|status| status.code)?;
            let text = |name| {
                headers
                    .get(name)
                    .map(|value: &HeaderValue| value.to_str().expect("text").to_owned())
            };
            Ok((text(AUTHORIZATION), text(SEC_WEBSOCKET_PROTOCOL).expect("it stays")))
        };
        // `secret`
        let token = format!("{PREFIX}c2VjcmV0");
        assert_eq!(
            moved("websocket", &format!("v4.channel.k8s.io, {token},x")),
            Ok((Some("Bearer secret".to_owned()), "v4.channel.k8s.io, x".to_owned()))
        );
        assert_eq!(moved("websocket", "v4"), Ok((None, "v4".to_owned())));
        assert_eq!(moved("SPDY/3.1", &token), Ok((None, token.clone())));
        for wrong in [
            token.clone(),
            format!("v4,{token},{token}"),
            format!("v4,{PREFIX}?"),
            format!("v4,{PREFIX}Cg"),
        ] {
            assert_eq!(moved("websocket", &wrong), Err(401), "{wrong}");
        }
    }
}
