//! Servers that probes of a pod on the host's network ask: gRPC's health service and a page over TLS, in this thread's network
//! namespace. Each says what it is told to say, and counts who asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

/// Answers until it is dropped.
pub struct Probed {
    runtime: Runtime,
    health: HealthReporter,
    grpc: SocketAddr,
    https: SocketAddr,
    page_is_there: Arc<AtomicBool>,
}

impl Probed {
    /// Both servers, neither of them well yet.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let page_is_there = Arc::new(AtomicBool::new(false));
        let (health, service) = health_reporter();
        let (grpc, https) = runtime.block_on(async {
            let listener = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0));
            let (grpc, https) = (listener().await.expect("a port"), listener().await.expect("a port"));
            let addresses = (grpc.local_addr(), https.local_addr());
            let server = tonic::transport::Server::builder().add_service(service);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(grpc)));
            tokio::spawn(serve_pages(https, Arc::clone(&page_is_there)));
            (addresses.0.expect("it is bound"), addresses.1.expect("it is bound"))
        });
        Self {
            runtime,
            health,
            grpc,
            https,
            page_is_there,
        }
    }

    /// The port of gRPC's health service.
    #[must_use]
    pub fn grpc_port(&self) -> u16 {
        self.grpc.port()
    }

    /// The port of the page: 503 until [`Self::page`].
    #[must_use]
    pub fn https_port(&self) -> u16 {
        self.https.port()
    }

    /// What the health service says of `service` from now on.
    pub fn health(&self, service: &str, is_well: bool) {
        let status = match is_well {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        self.runtime.block_on(self.health.set_service_status(service, status));
    }

    /// The page is there from now on.
    pub fn page(&self) {
        self.page_is_there.store(true, Ordering::Relaxed);
    }
}

async fn serve_pages(listener: TcpListener, is_there: Arc<AtomicBool>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([String::from("nobody.invalid")]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(cert)], key)
        .expect("the certificate is of this key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, is_there) = (acceptor.clone(), Arc::clone(&is_there));
        tokio::spawn(async move {
            // Who hangs up gets no answer.
            let _ = answer(acceptor, client, is_there.load(Ordering::Relaxed)).await;
        });
    }
}

async fn answer(acceptor: TlsAcceptor, client: TcpStream, is_there: bool) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let status = if is_there { "200 OK" } else { "503 Service Unavailable" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}
