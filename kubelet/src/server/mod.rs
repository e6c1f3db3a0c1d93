//! What the API server asks a kubelet for: logs, exec, attach, port-forward, and which pods there are.
//!
//! ```text
//!   API server --TLS, client certificate--> accept -> route -> logs: files, followed by inotify
//!                                                          \-> streams: the runtime's streaming server, byte for byte
//! ```
//!
//! HTTPS only, and only for clients that may do anything (`system:masters`) or are the API server itself.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::Config;
use crate::context::Context;
use crate::pods::Known;

mod answer;
mod follow;
mod log_line;
mod logs;
mod rotate;
mod route;
mod streams;
mod tail;
mod tls;

/// Why the server doesn't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The port.
    #[error("listening on {address}: {source}; choose another with --port")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// What every request needs.
pub(crate) struct Shared {
    pub(crate) context: Arc<Context>,
    pub(crate) known: watch::Receiver<Arc<Known>>,
}

/// Binds; what it gives serves until the process ends, and keeps logs from growing without bound.
pub(crate) async fn listen(
    config: &Config,
    context: Arc<Context>,
    known: watch::Receiver<Arc<Known>>,
) -> Result<impl Future<Output = ()> + use<>, ServeError> {
    let acceptor = tls::acceptor(
        &config.tls_cert_file,
        &config.tls_private_key_file,
        &config.client_ca_file,
    )?;
    let ip = config
        .address
        .or(config.node_ip.first().copied())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, config.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    let shared = Arc::new(Shared { context, known });
    Ok(async move {
        tokio::join!(serve(listener, acceptor, Arc::clone(&shared)), rotate::watch(shared));
    })
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Keystrokes and lines of a log are small, and waited for. A connection that refuses this has ended already.
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others have to end first.
                debug!(%error, "a connection couldn't be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return debug!(%error, "a client's TLS handshake failed"),
    };
    let may_enter = tls::may_enter(stream.get_ref().1.peer_certificates());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let answer = match may_enter {
                true => route::route(shared, request).await,
                false => Err(answer::Refusal::forbidden()),
            };
            Ok::<_, Infallible>(answer.unwrap_or_else(answer::Refusal::into_response))
        }
    });
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        debug!(%error, "a client's connection broke");
    }
}
