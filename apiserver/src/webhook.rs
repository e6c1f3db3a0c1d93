//! The way to a webhook: HTTPS to its URL or its service, trusted by the authority in its configuration. Who asks what is
//! elsewhere: about requests in `admission/webhooks`, about versions of objects in `customs/conversion`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::kinds::read;
use crate::services;
use crate::storage::Store;

/// An answer holds a patch of one object, no more.
const ANSWER_MAX_BYTES: usize = 3 * 1024 * 1024;
/// Whom to trust when the configuration doesn't say: the authorities of the machine.
const SYSTEM: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where a webhook is.
struct Place {
    /// Who it has to be.
    host: String,
    port: u16,
    /// Who is asked: an address of the service, or the host itself.
    address: String,
    /// On which port.
    at: u16,
    path: String,
}

/// Sends a question to whom a `clientConfig` names, and gives back the answer.
///
/// # Errors
/// A sentence about what went wrong on the way.
pub(crate) async fn ask(store: &Store, config: &Value, seconds: u64, question: &Value) -> Result<Value, String> {
    let place = place(store, config)?;
    let url = format!("https://{}:{}{}?timeout={seconds}s", place.host, place.port, place.path);
    let failed = |why: String| format!("failed to call webhook: Post {url:?}: {why}");
    let sent = send(&place, config, seconds, question);
    match tokio::time::timeout(Duration::from_secs(seconds), sent).await {
        Ok(answer) => answer.map_err(failed),
        Err(_) => Err(failed("context deadline exceeded".to_owned())),
    }
}

fn place(store: &Store, config: &Value) -> Result<Place, String> {
    if let Some(url) = config["url"].as_str() {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("the URL {url:?} is none: {error}"))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(443);
        return Ok(Place {
            address: host.clone(),
            host,
            port,
            at: port,
            path: uri.path().to_owned(),
        });
    }
    let text = |field: &str| read::text(config["service"].get(field));
    let (namespace, name) = (text("namespace"), text("name"));
    let port = config["service"]["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(443);
    let (address, at) =
        services::resolve(store, namespace, name, port).map_err(|why| format!("failed to call webhook: {why}"))?;
    Ok(Place {
        host: format!("{name}.{namespace}.svc"),
        port,
        address,
        at,
        path: format!("/{}", text("path").trim_start_matches('/')),
    })
}

async fn send(place: &Place, config: &Value, seconds: u64, question: &Value) -> Result<Value, String> {
    let tls = connector(config)?;
    let told = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect((place.address.as_str(), place.at));
    let stream = stream
        .await
        .map_err(|error| format!("dial tcp {}:{}: {error}", place.address, place.at))?;
    let name = match place.host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(place.host.clone()).map_err(|error| told(&error))?,
    };
    let stream = tls
        .connect(name, stream)
        .await
        .map_err(|error| format!("tls: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| told(&error))?;
    // Ends when the sender is dropped.
    tokio::spawn(connection);
    let request = Request::post(format!("{}?timeout={seconds}s", place.path))
        .header(header::HOST, format!("{}:{}", place.host, place.port))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Full::new(Bytes::from(question.to_string())));
    let request = request.map_err(|error| told(&error))?;
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(|error| told(&error))?
        .into_parts();
    let body = Limited::new(body, ANSWER_MAX_BYTES)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    if !head.status.is_success() {
        return Err(format!("an error on the server: {}", head.status));
    }
    serde_json::from_slice(&body.to_bytes()).map_err(|error| format!("couldn't get the answer: {error}"))
}

fn connector(config: &Value) -> Result<TlsConnector, String> {
    let roots = match read::text(config.get("caBundle")) {
        "" => system_roots(),
        text => {
            let unable = |error: &dyn std::fmt::Display| format!("unable to load root certificates: {error}");
            let bundle = BASE64_STANDARD.decode(text).map_err(|error| unable(&error))?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&bundle) {
                drop(roots.add(certificate.map_err(|error| unable(&error))?));
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The authorities of the machine; some are of forms that aren't known here, and are left out.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let bundle = SYSTEM
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .unwrap_or_default();
    for certificate in CertificateDer::pem_slice_iter(&bundle).flatten() {
        drop(roots.add(certificate));
    }
    roots
}
