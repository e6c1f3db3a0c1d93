//! A connection to another server, for one request: TLS with this server's proxy certificate, to a pod of its service, which
//! has to show a certificate for `SERVICE.NAMESPACE.svc`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Remote;
use crate::http::{ServeError, certificates, private_key};
use crate::services;
use crate::storage::Store;
use crate::subresources::proxy::AnyCertificate;
use crate::webhook;

/// For connecting and the handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Certificate and key by which other servers know this one.
pub(crate) struct ProxyFiles<'a> {
    pub(crate) identity: Option<(&'a PathBuf, &'a PathBuf)>,
}

/// Connects.
pub(crate) struct Connector {
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Connector {
    /// Without a certificate other servers take every request for an anonymous one.
    pub(crate) fn new(files: &ProxyFiles<'_>) -> Result<Self, ServeError> {
        let identity = match files.identity {
            Some((certificate, key)) => Some((certificates(certificate)?, private_key(key)?)),
            None => None,
        };
        Ok(Self { identity })
    }

    /// Sends one request; the answer may be an upgrade.
    pub(super) async fn send(
        &self,
        store: &Store,
        remote: &Remote,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, String> {
        let (address, port) = services::resolve(store, &remote.namespace, &remote.service, remote.port)?;
        let tls = self.tls(remote)?;
        let name = format!("{}.{}.svc", remote.service, remote.namespace);
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let connect = async {
            let stream = TcpStream::connect((address.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            tls.connect(name, stream).await
        };
        let dialled = |why: String| format!("dial tcp {address}:{port}: {why}");
        let stream = match tokio::time::timeout(PATIENCE, connect).await {
            Ok(connected) => connected.map_err(|error| dialled(error.to_string()))?,
            Err(_) => return Err(dialled(format!("no answer within {} seconds", PATIENCE.as_secs()))),
        };
        let told = |error: hyper::Error| error.to_string();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        // Ends with the answer's body, or with the upgrade's stream.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(told)
    }

    fn tls(&self, remote: &Remote) -> Result<TlsConnector, String> {
        let told = |error: rustls::Error| error.to_string();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(told)?;
        let builder = if remote.is_insecure {
            let any = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(any)
        } else {
            builder.with_root_certificates(roots(&remote.authority)?)
        };
        let config = match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(told)?,
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn roots(bundle: &str) -> Result<RootCertStore, String> {
    if bundle.is_empty() {
        return Ok(webhook::system_roots());
    }
    let unable = |error: &dyn std::fmt::Display| format!("unable to load root certificates: {error}");
    let pem = BASE64_STANDARD.decode(bundle).map_err(|error| unable(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unable(&error))?;
        roots.add(certificate).map_err(|error| unable(&error))?;
    }
    Ok(roots)
}
