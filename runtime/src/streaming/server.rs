//! The HTTP server on loopback whose URLs Exec, Attach and PortForward return: finds the session of a token, agrees on a
//! protocol, upgrades the connection and serves the session on it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use minik_api::cri;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::negotiation::{Protocol, Refusal, STREAM_PROTOCOL_VERSION, negotiate};
use super::tokens::{Tokens, TooManySessions};
use super::{Backend, Session, spdy_command, spdy_ports, tunnel, websocket_command, websocket_ports};

/// WebSocket channels are one byte, and a port has two.
const PORT_LIMIT: usize = 127;

/// Why no session can be served.
#[derive(Debug, thiserror::Error)]
pub enum StreamingError {
    /// The address is taken or isn't this machine's.
    #[error("listen on {address} for exec, attach and port-forward")]
    Listen {
        /// Where to listen.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Hands out URLs, and serves whoever comes with one.
#[derive(Clone)]
pub struct Streaming {
    address: SocketAddr,
    tokens: Arc<Mutex<Tokens>>,
}

impl Streaming {
    /// Listens on `address` (port 0: any free one). The future accepts clients for as long as it is run.
    pub async fn listen(
        address: SocketAddr,
        backend: Arc<dyn Backend>,
    ) -> Result<(Streaming, impl Future<Output = ()>), StreamingError> {
        let listening = async {
            let listener = TcpListener::bind(address).await?;
            io::Result::Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listening
            .await
            .map_err(|source| StreamingError::Listen { address, source })?;
        let streaming = Streaming {
            address,
            tokens: Arc::default(),
        };
        Ok((streaming.clone(), streaming.accept(listener, backend)))
    }

    /// A URL at which `session` is served, once, within a minute.
    pub fn offer(&self, session: Session) -> Result<String, TooManySessions> {
        let verb = match &session {
            Session::Exec(_) => "exec",
            Session::Attach(_) => "attach",
            Session::PortForward(_) => "portforward",
        };
        let token = self
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .issue(session, Instant::now())?;
        Ok(format!("http://{}/{verb}/{token}", self.address))
    }

    async fn accept(self, listener: TcpListener, backend: Arc<dyn Backend>) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, or the client left already: the next one may fare better.
                    tracing::warn!(%error, "accept a streaming client");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            // Keystrokes are small and waited for.
            let _ = stream.set_nodelay(true);
            let (streaming, backend) = (self.clone(), Arc::clone(&backend));
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = streaming.answer(request, Arc::clone(&backend));
                    async { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.with_upgrades().await {
                    tracing::debug!(%error, "a streaming client's connection");
                }
            });
        }
    }

    fn answer(&self, mut request: Request<Incoming>, backend: Arc<dyn Backend>) -> Response<String> {
        let token = request.uri().path().rsplit('/').next().unwrap_or_default();
        let session = self
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .redeem(token, Instant::now());
        let Some(session) = session else {
            return refuse(
                StatusCode::NOT_FOUND,
                "this URL was used already, or is older than a minute".to_owned(),
            );
        };
        let protocol = match negotiate(request.headers(), matches!(session, Session::PortForward(_))) {
            Ok(protocol) => protocol,
            Err(refusal @ Refusal::NoUpgrade) => return refuse(StatusCode::BAD_REQUEST, refusal.to_string()),
            Err(refusal) => return refuse(StatusCode::FORBIDDEN, refusal.to_string()),
        };
        if let Session::PortForward(request) = &session
            && request.port.len() > PORT_LIMIT
        {
            return refuse(
                StatusCode::BAD_REQUEST,
                format!("{} ports at once, at most {PORT_LIMIT}", request.port.len()),
            );
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let response = switch(&request, protocol);
        tokio::spawn(serve(upgrade, protocol, session, backend));
        response
    }
}

fn refuse(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response
}

fn switch(request: &Request<Incoming>, protocol: Protocol) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    match protocol {
        Protocol::WebSocketCommand { name, .. }
        | Protocol::WebSocketPorts { name }
        | Protocol::TunnelledPorts { name } => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
            let key = request
                .headers()
                .get(SEC_WEBSOCKET_KEY)
                .map(HeaderValue::as_bytes)
                .unwrap_or_default();
            if let Ok(accept) = derive_accept_key(key).parse() {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
        }
        Protocol::SpdyCommand { name } | Protocol::SpdyPorts { name } => {
            headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
            headers.insert(STREAM_PROTOCOL_VERSION, HeaderValue::from_static(name));
        }
    }
    response
}

async fn serve(upgrade: OnUpgrade, protocol: Protocol, session: Session, backend: Arc<dyn Backend>) {
    let io = match upgrade.await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => return tracing::debug!(%error, "a streaming client left before its upgrade"),
    };
    let backend = backend.as_ref();
    match (protocol, session) {
        (Protocol::WebSocketCommand { half_close, .. }, session) => {
            let socket = websocket(io).await;
            log(websocket_command::serve(socket, session, half_close, backend).await);
        }
        (Protocol::SpdyCommand { .. }, session) => log(spdy_command::serve(io, session, backend).await),
        (Protocol::WebSocketPorts { .. }, Session::PortForward(request)) => {
            let socket = websocket(io).await;
            log(websocket_ports::serve(socket, &request.pod_sandbox_id, &ports(&request), backend).await);
        }
        (Protocol::TunnelledPorts { .. }, Session::PortForward(request)) => {
            let (io, tunnel) = tunnel::over(websocket(io).await);
            let (served, ()) = futures::join!(spdy_ports::serve(io, &request.pod_sandbox_id, backend), tunnel);
            log(served);
        }
        (Protocol::SpdyPorts { .. }, Session::PortForward(request)) => {
            log(spdy_ports::serve(io, &request.pod_sandbox_id, backend).await);
        }
        _ => unreachable!("negotiate() was told whether the session is for ports"),
    }
}

async fn websocket(io: TokioIo<Upgraded>) -> WebSocketStream<TokioIo<Upgraded>> {
    WebSocketStream::from_raw_socket(io, Role::Server, None).await
}

fn ports(request: &cri::PortForwardRequest) -> Vec<u16> {
    request
        .port
        .iter()
        .filter_map(|port| u16::try_from(*port).ok())
        .collect()
}

/// A client that leaves in the middle is nothing special.
fn log<E: std::error::Error>(served: Result<(), E>) {
    if let Err(error) = served {
        tracing::debug!(%error, "a streaming session broke off");
    }
}
