//! Connections: TCP, TLS with an optional client certificate, HTTP/1.1 or HTTP/2 by ALPN, upgrades.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use minik_api::status::Status;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::connections::{Places, Waiting};
use super::fairness::RETRY_SECONDS;
use super::limits::{Capacity, Limits};
use super::respond::failure;
use crate::auth::{User, user_of};

/// For the TLS handshake: who is slower is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a request on a connection that is one too many, which is answered with 429.
const REFUSAL: Duration = Duration::from_secs(2);
/// A connection that can't be accepted is tried again when another one has gone, or after this.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// How long requests that run when the server stops may go on.
const DRAIN: Duration = Duration::from_secs(5);
/// A connection over which nothing comes back is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Requests at once on one connection of HTTP/2, as upstream.
const STREAMS_MAX: u32 = 1000;
/// All headers of a request, in bytes; long selectors are part of the path, which counts as one.
const HEADERS_MAX: u32 = 64 * 1024;
/// Streams that their client has reset before they were looked at: with more the connection ends.
const RESETS_MAX: usize = 100;
/// Streams that were reset for their client's errors: with more the connection ends.
const LOCAL_RESETS_MAX: usize = 1024;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A certificate or key can't be read.
    #[error("can't read the certificate or key in {}", path.display())]
    ReadPem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificates don't fit together.
    #[error("the certificates can't be used for TLS")]
    Tls(#[from] rustls::Error),
    /// The authorities of clients can't be used.
    #[error("the client CA file {} can't be used", path.display())]
    ClientAuthorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::server::VerifierBuilderError,
    },
    /// The address is taken or isn't ours.
    #[error("can't listen on {address}; see who has it with: ss -ltnp 'sport = :{}'", address.port())]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The listening sockets and how to speak on them.
pub(crate) struct Server {
    listeners: Vec<TcpListener>,
    tls: TlsAcceptor,
}

impl Server {
    /// Opens the sockets.
    pub(crate) async fn bind(addresses: &[IpAddr], port: u16, config: ServerConfig) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        for &address in addresses {
            let address = SocketAddr::new(address, port);
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|source| ServeError::Listen { address, source })?);
        }
        let tls = TlsAcceptor::from(Arc::new(config));
        Ok(Self { listeners, tls })
    }

    /// Serves until `stop`, then lets running requests end.
    pub(crate) async fn serve(self, router: Router, limits: &Limits, capacity: Capacity, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let room = Room {
            tls: self.tls,
            places: Places::new(capacity),
            router,
            head_timeout: limits.head_timeout.unsigned_abs(),
            stop,
        };
        let accepting = self
            .listeners
            .into_iter()
            .map(|listener| accept(listener, room.clone(), connections.clone()));
        futures::future::join_all(accepting).await;
        connections.close();
        if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections are cut off");
        }
    }
}

/// What every connection has at hand.
#[derive(Clone)]
struct Room {
    tls: TlsAcceptor,
    places: Places,
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
}

async fn accept(listener: TcpListener, room: Room, connections: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = room.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, room.clone()));
            }
            // The client was quicker to leave than we to come.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of descriptors, mostly: others have to close theirs first, and accept would fail again at once.
                tracing::warn!(%error, "can't accept a connection");
                let _ = tokio::time::timeout(ACCEPT_AGAIN, room.places.freed()).await;
            }
        }
    }
}

/// One connection, from handshake to end. What goes wrong on it concerns its client alone.
async fn connection(stream: TcpStream, room: Room) {
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    let waiting = room.places.wait();
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(PATIENCE, room.tls.accept(stream)) => shaken,
        () = waiting.is_pushed_out() => return tracing::debug!("too many connections shake hands; the oldest goes"),
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let user: Option<Arc<User>> = certificates.and_then(|chain| user_of(chain.first()?)).map(Arc::new);
    let Some(_place) = room.places.take(user.as_deref()) else {
        return refuse(stream, &room, &waiting).await;
    };
    drop(waiting);
    let asked = CancellationToken::new();
    let service = service_fn({
        let (asked, router) = (asked.clone(), room.router.clone());
        move |request: hyper::Request<Incoming>| {
            asked.cancel();
            let mut request: Request = request.map(Body::new);
            if let Some(user) = &user {
                request.extensions_mut().insert(user.clone());
            }
            router.clone().oneshot(request)
        }
    });
    let served = async {
        // As was agreed with TLS, so that nobody has to wait for what the client says first.
        if is_http2(&stream) {
            let connection = http2().serve_connection(TokioIo::new(stream), service);
            until_stopped(connection, http2::Connection::graceful_shutdown, &room.stop).await
        } else {
            let connection = http1(room.head_timeout).serve_connection(TokioIo::new(stream), service);
            let connection = connection.with_upgrades();
            until_stopped(connection, http1::UpgradeableConnection::graceful_shutdown, &room.stop).await
        }
    };
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        }
        () = silence(&asked, room.head_timeout) => tracing::debug!("nothing was asked on a connection"),
    }
}

/// Done when nothing is asked in time; never once something was.
async fn silence(asked: &CancellationToken, time: Duration) {
    if tokio::time::timeout(time, asked.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}

async fn until_stopped<C: Future>(connection: C, end: impl FnOnce(Pin<&mut C>), stop: &CancellationToken) -> C::Output {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            end(connection.as_mut());
            connection.await
        }
    }
}

/// One connection too many: what is asked on it is answered with 429, and soon it is closed. Until then it is among those
/// that shake hands, and makes room for them.
async fn refuse(stream: TlsStream<TcpStream>, room: &Room, waiting: &Waiting) {
    tracing::debug!("too many connections of this user");
    let service = service_fn(async |_: hyper::Request<Incoming>| {
        let message = "too many connections; close some, or try again later";
        let mut response = failure(&Status::too_many_requests(message, RETRY_SECONDS));
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    let refused = async {
        // Who doesn't hear it doesn't mind.
        let _ = if is_http2(&stream) {
            http2().serve_connection(TokioIo::new(stream), service).await
        } else {
            http1(REFUSAL).serve_connection(TokioIo::new(stream), service).await
        };
    };
    tokio::select! {
        _ = tokio::time::timeout(REFUSAL, refused) => {}
        () = waiting.is_pushed_out() => {}
        () = room.stop.cancelled() => {}
    }
}

fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn http1(head_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(PATIENCE);
    // Controllers have all their watches on one connection.
    builder.max_concurrent_streams(STREAMS_MAX);
    builder.max_header_list_size(HEADERS_MAX);
    // Streams that are opened and reset at once cost nothing but the connection they come on (CVE-2023-44487).
    builder.max_pending_accept_reset_streams(RESETS_MAX);
    builder.max_local_error_reset_streams(LOCAL_RESETS_MAX);
    builder
}

/// TLS as a server; client certificates are asked for, but health and version are for everybody.
pub(crate) fn tls_config(certificate: &Path, key: &Path, client_ca: &Path) -> Result<ServerConfig, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(authorities(client_ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).allow_unauthenticated();
    let verifier = verifier.build().map_err(|source| ServeError::ClientAuthorities {
        path: client_ca.to_owned(),
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(certificate)?, private_key(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// All certificates of a file, as roots of trust.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, ServeError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// All certificates of a file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|source| ServeError::ReadPem {
        path: path.to_owned(),
        source,
    })
}

/// The private key in a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ServeError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| ServeError::ReadPem {
        path: path.to_owned(),
        source,
    })
}
