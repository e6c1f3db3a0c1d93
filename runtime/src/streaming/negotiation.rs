//! Which of the protocols a client and this server speak: read from the upgrade request's headers. Pure.
//!
//! ```text
//!   who                            Upgrade     protocol (Sec-WebSocket-Protocol or X-Stream-Protocol-Version)
//!   kubectl 1.31+, kube-rs         websocket   v5.channel.k8s.io, v4.channel.k8s.io      exec, attach
//!   kube-rs                        websocket   v4.channel.k8s.io                         port-forward
//!   kubectl 1.31+                  websocket   SPDY/3.1+portforward.k8s.io               port-forward
//!   kubectl up to 1.30, crictl     SPDY/3.1    v4.channel.k8s.io                         exec, attach
//!   the same                       SPDY/3.1    portforward.k8s.io                        port-forward
//! ```

use http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

/// The header in which SPDY clients list protocols, once for each.
pub(super) const STREAM_PROTOCOL_VERSION: &str = "x-stream-protocol-version";

const COMMAND_V5: &str = "v5.channel.k8s.io";
const COMMAND_V4: &str = "v4.channel.k8s.io";
const PORTS: &str = "portforward.k8s.io";
const PORTS_TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// What client and server agreed on, and its name for the answer's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Channels in WebSocket messages: the first byte says which. With version 5, the client can close one.
    WebSocketCommand { name: &'static str, half_close: bool },
    /// Two channels a port in WebSocket messages.
    WebSocketPorts { name: &'static str },
    /// SPDY in WebSocket messages.
    TunnelledPorts { name: &'static str },
    /// SPDY on the connection itself.
    SpdyCommand { name: &'static str },
    /// The same for ports.
    SpdyPorts { name: &'static str },
}

/// Why a request can't become a session: an answer with status 400 or 403.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this URL is for an upgrade to SPDY/3.1 or WebSocket")]
    NoUpgrade,
    #[error("unable to negotiate protocol: client supports {client:?}, server accepts {server:?}")]
    NoCommonProtocol {
        client: Vec<String>,
        server: Vec<&'static str>,
    },
}

/// Picks the best protocol that both speak.
pub(super) fn negotiate(headers: &HeaderMap, ports: bool) -> Result<Protocol, Refusal> {
    let upgrade = headers
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if upgrade.eq_ignore_ascii_case("websocket") {
        let names = if ports {
            [PORTS_TUNNEL, COMMAND_V4]
        } else {
            [COMMAND_V5, COMMAND_V4]
        };
        let name = pick(offers(headers, SEC_WEBSOCKET_PROTOCOL.as_str()), &names)?;
        Ok(match (ports, name) {
            (true, PORTS_TUNNEL) => Protocol::TunnelledPorts { name },
            (true, _) => Protocol::WebSocketPorts { name },
            (false, _) => Protocol::WebSocketCommand {
                name,
                half_close: name == COMMAND_V5,
            },
        })
    } else if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        let names = if ports { [PORTS] } else { [COMMAND_V4] };
        let name = pick(offers(headers, STREAM_PROTOCOL_VERSION), &names)?;
        Ok(if ports {
            Protocol::SpdyPorts { name }
        } else {
            Protocol::SpdyCommand { name }
        })
    } else {
        Err(Refusal::NoUpgrade)
    }
}

/// All names in all headers of that name, which may each hold several.
fn offers(headers: &HeaderMap, header: &str) -> Vec<String> {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn pick(client: Vec<String>, server: &[&'static str]) -> Result<&'static str, Refusal> {
    let common = server
        .iter()
        .copied()
        .find(|name| client.iter().any(|offered| offered == name));
    common.ok_or_else(|| Refusal::NoCommonProtocol {
        client,
        server: server.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(upgrade: &str, header: &'static str, offers: &[&str], ports: bool) -> Result<Protocol, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, upgrade.parse().expect("a header value"));
        for offer in offers {
            headers.append(header, offer.parse().expect("a header value"));
        }
        negotiate(&headers, ports)
    }

    #[test]
    fn each_client_gets_its_best_protocol() {
        let websocket = |offers: &[&str], ports| negotiated("websocket", "sec-websocket-protocol", offers, ports);
        let spdy = |offers: &[&str], ports| negotiated("SPDY/3.1", "x-stream-protocol-version", offers, ports);
        let v5 = Protocol::WebSocketCommand {
            name: "v5.channel.k8s.io",
            half_close: true,
        };
        let v4 = Protocol::WebSocketCommand {
            name: "v4.channel.k8s.io",
            half_close: false,
        };
        assert_eq!(websocket(&["v4.channel.k8s.io, v5.channel.k8s.io"], false), Ok(v5));
        assert_eq!(websocket(&["v4.channel.k8s.io"], false), Ok(v4));
        assert_eq!(
            websocket(&["v4.channel.k8s.io"], true),
            Ok(Protocol::WebSocketPorts {
                name: "v4.channel.k8s.io"
            })
        );
        let tunnel = "SPDY/3.1+portforward.k8s.io";
        assert_eq!(
            websocket(&[tunnel], true),
            Ok(Protocol::TunnelledPorts { name: tunnel })
        );
        let all = [
            "v4.channel.k8s.io",
            "v3.channel.k8s.io",
            "v2.channel.k8s.io",
            "channel.k8s.io",
        ];
        assert_eq!(
            spdy(&all, false),
            Ok(Protocol::SpdyCommand {
                name: "v4.channel.k8s.io"
            })
        );
        assert_eq!(
            spdy(&["portforward.k8s.io"], true),
            Ok(Protocol::SpdyPorts {
                name: "portforward.k8s.io"
            })
        );
    }

    #[test]
    fn nothing_in_common_names_both_sides() {
        let refusal = negotiated("SPDY/3.1", "x-stream-protocol-version", &["v2.channel.k8s.io"], false);
        let text = refusal.expect_err("version 2 isn't served").to_string();
        assert!(
            text.contains("v2.channel.k8s.io") && text.contains("v4.channel.k8s.io"),
            "{text}"
        );
        assert_eq!(negotiate(&HeaderMap::new(), false), Err(Refusal::NoUpgrade));
    }
}
