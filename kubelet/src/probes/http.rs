//! HTTP requests for probes and hooks: https without verification, as Kubernetes asks for; any status from 200 to 399 is a
//! success. The gRPC health check is one more request.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// What is asked, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    https: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// Resolves a `httpGet` against the container's ports and the pod's address.
pub(crate) fn target(action: &HTTPGetAction, container: &Container, address: &str) -> Result<Target, String> {
    let host = action
        .host
        .as_deref()
        .filter(|host| !host.is_empty())
        .unwrap_or(address);
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let headers = action
        .http_headers
        .iter()
        .flatten()
        .map(|header| (header.name.clone(), header.value.clone()));
    Ok(Target {
        https: action
            .scheme
            .as_deref()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
        host: host.to_owned(),
        port: port(&action.port, container)?,
        path: if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        },
        headers: headers.collect(),
    })
}

/// A port by number or by the name that the container gives it.
pub(crate) fn port(wanted: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match wanted {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports
                .into_iter()
                .find(|port| port.name.as_ref() == Some(name))
                .map(|port| port.container_port);
            let number = named.or_else(|| name.parse().ok());
            number.ok_or_else(|| format!("container {} has no port named {name:?}", container.name))?
        }
    };
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("no port: {number}"))
}

/// Asks; the error says what came instead of a success.
pub(crate) async fn get(target: &Target, limit: Duration) -> Result<(), String> {
    let url = url(target);
    match timeout(limit, ask(target)).await {
        Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err(format!("HTTP probe failed with statuscode: {status}")),
        Ok(Err(error)) => Err(format!("Get \"{url}\": {error}")),
        Err(_) => Err(format!(
            "Get \"{url}\": no answer within {} s (timeoutSeconds)",
            limit.as_secs()
        )),
    }
}

fn url(target: &Target) -> String {
    let scheme = if target.https { "https" } else { "http" };
    format!("{scheme}://{}:{}{}", target.host, target.port, target.path)
}

async fn ask(target: &Target) -> Result<u16, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
    let stream = stream.map_err(|error| format!("dial tcp {}:{}: {error}", target.host, target.port))?;
    if !target.https {
        return exchange(TokioIo::new(stream), target).await;
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|error| text(&error))?;
    let stream = TlsConnector::from(Arc::clone(&UNVERIFIED))
        .connect(name, stream)
        .await
        .map_err(|error| text(&error))?;
    exchange(TokioIo::new(stream), target).await
}

async fn exchange<S>(stream: TokioIo<S>, target: &Target) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| error.to_string())?;
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = hyper::Request::get(&target.path);
    let has = |name: &str| target.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let defaults = [
        ("Host", format!("{}:{}", target.host, target.port)),
        ("User-Agent", "kube-probe/1.36".into()),
        ("Accept", "*/*".into()),
    ];
    for (name, value) in defaults.iter().filter(|(name, _)| !has(name)) {
        request = request.header(*name, value);
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    drop(connection);
    Ok(answer.status().as_u16())
}

/// `grpc.health.v1.Health/Check`, whose messages are a string and an enum.
pub(crate) async fn grpc_health(host: &str, port: u16, service: &str, limit: Duration) -> Result<(), String> {
    match timeout(limit, check_health(host, port, service)).await {
        Ok(result) => result,
        Err(_) => Err(format!(
            "timeout: health rpc did not complete within {} s",
            limit.as_secs()
        )),
    }
}

/// `HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`; 1 is SERVING.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

async fn check_health(host: &str, port: u16, service: &str) -> Result<(), String> {
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{host}:{port}")).map_err(|error| error.to_string())?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| format!("dial {host}:{port}: {error}"))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec: tonic_prost::ProstCodec<HealthRequest, HealthResponse> = tonic_prost::ProstCodec::default();
    let request = tonic::Request::new(HealthRequest {
        service: service.to_owned(),
    });
    let answer = client
        .unary(request, path, codec)
        .await
        .map_err(|status| status.to_string())?;
    match answer.into_inner().status {
        1 => Ok(()),
        0 => Err(unhealthy("UNKNOWN")),
        2 => Err(unhealthy("NOT_SERVING")),
        3 => Err(unhealthy("SERVICE_UNKNOWN")),
        other => Err(unhealthy(&other.to_string())),
    }
}

fn unhealthy(status: &str) -> String {
    format!("service unhealthy (responded with {status:?})")
}

/// Takes any certificate: a probe asks whether the server answers, not who it is.
static UNVERIFIED: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyServer(Arc::clone(&provider));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("ring has the default protocol versions").dangerous();
    Arc::new(
        builder
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
    )
});

#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn container() -> Container {
        serde_json::from_value(json!({"name": "a", "ports": [{"name": "web", "containerPort": 8080}]})).expect("one")
    }

    #[test]
    fn ports_have_names_or_numbers() {
        assert_eq!(port(&IntOrString::Int(80), &container()), Ok(80));
        assert_eq!(port(&IntOrString::String("web".into()), &container()), Ok(8080));
        assert!(port(&IntOrString::String("nope".into()), &container()).is_err());
        assert!(port(&IntOrString::Int(70_000), &container()).is_err());
    }

    /// Answers one request with this status line, and gives what was asked.
    async fn server(status: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.expect("a request");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("answered");
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (port, task)
    }

    #[tokio::test]
    async fn a_status_below_400_is_a_success() {
        for (status, succeeds) in [
            ("200 OK", true),
            ("302 Found", true),
            ("404 Not Found", false),
            ("500 No", false),
        ] {
            let (port, server) = server(status).await;
            let action: HTTPGetAction = serde_json::from_value(
                json!({"port": port, "path": "healthz", "httpHeaders": [{"name": "X-Probe", "value": "1"}]}),
            )
            .expect("one");
            let target = target(&action, &container(), "127.0.0.1").expect("a target");
            let result = get(&target, Duration::from_secs(5)).await;
            assert_eq!(result.is_ok(), succeeds, "{status}: {result:?}");
            let asked = server.await.expect("it answered").to_lowercase();
            assert!(
                asked.starts_with("get /healthz http/1.1") && asked.contains("x-probe: 1"),
                "{asked}"
            );
        }
    }
}
