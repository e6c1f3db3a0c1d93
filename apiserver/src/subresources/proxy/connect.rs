//! A connection to a pod, with or without TLS, for one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minik_api::status::Status;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::place::Address;
use super::unavailable;

/// For connecting and the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request; the answer may be an upgrade.
pub(super) async fn send(to: &Address, request: Request<Body>) -> Result<Response<Incoming>, Status> {
    let unreachable = |why: String| unavailable(format!("error trying to reach service: {why}"));
    let connect = async {
        let stream = TcpStream::connect(to.at).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if !to.https {
            return exchange(stream, request).await;
        }
        let connector = insecure().map_err(|error| error.to_string())?;
        let name = ServerName::IpAddress(to.at.ip().into());
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        exchange(stream, request).await
    };
    let sending = match tokio::time::timeout(PATIENCE, connect).await {
        Ok(connected) => connected.map_err(|why| unreachable(dialled(to.at, &why)))?,
        Err(_) => {
            return Err(unreachable(dialled(
                to.at,
                &format!("no answer within {} seconds", PATIENCE.as_secs()),
            )));
        }
    };
    // How long the answer takes is between the two.
    sending
        .await
        .map_err(|error| unreachable(dialled(to.at, &error.to_string())))
}

fn dialled(at: SocketAddr, why: &str) -> String {
    format!("dial tcp {at}: {why}")
}

/// HTTP/1.1 on this stream; what comes out waits for the answer.
async fn exchange<S>(
    stream: S,
    request: Request<Body>,
) -> Result<std::pin::Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with the answer's body, or with the upgrade's stream.
    tokio::spawn(connection.with_upgrades());
    Ok(Box::pin(async move { sender.send_request(request).await }))
}

fn insecure() -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let any = Arc::new(AnyCertificate(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Pods have certificates that nobody has signed, so upstream takes any, and so does this. What is proved is that the other
/// side has the key, not who it is; nothing secret of this server is sent there.
#[derive(Debug)]
pub(crate) struct AnyCertificate(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        (listener, at)
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut asked = [0; 1024];
        let read = stream.read(&mut asked).await.expect("a request");
        assert!(asked[..read].starts_with(b"GET /x HTTP/1.1\r\n"));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .expect("written");
        stream.flush().await.expect("sent");
    }

    async fn body(at: SocketAddr, https: bool) -> Result<String, String> {
        let request = Request::get("/x").body(Body::empty()).expect("a request");
        let answer = send(&Address { https, at }, request)
            .await
            .map_err(|status| status.message)?;
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn pods_are_asked_with_and_without_tls() {
        let (listener, at) = listen().await;
        let certified = rcgen::generate_simple_self_signed(vec!["pod".to_owned()]).expect("a certificate");
        let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a good pair");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let pod = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            answer(stream).await;
            let (stream, _) = listener.accept().await.expect("a client");
            answer(acceptor.accept(stream).await.expect("a handshake")).await;
        });
        assert_eq!(body(at, false).await.as_deref(), Ok("ok"));
        assert_eq!(body(at, true).await.as_deref(), Ok("ok"));
        pod.await.expect("it answered");
    }

    #[tokio::test]
    async fn who_is_not_there_is_unavailable() {
        let (listener, at) = listen().await;
        drop(listener);
        let told = body(at, false).await.expect_err("nobody listens");
        assert!(
            told.starts_with(&format!("error trying to reach service: dial tcp {at}: ")),
            "{told}"
        );
    }
}
