//! A server on loopback with everything real but the kubelets, and a client that shows what goes over the wire.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "for tests; each uses a part of it"
)]

pub mod credentials;

use std::convert::Infallible;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::client::conn::http2;
use hyper::server::conn::http1 as served;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::SignedDuration;
use minik_apiserver::{Config, Limits, run_until};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::protocol::Role;

/// A running server.
pub struct Server {
    pub directory: TempDir,
    pub port: u16,
    pub event_ttl: SignedDuration,
    pub limits: Limits,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code and the message of a `Status`.
    pub fn failure(&self) -> (u16, String) {
        (
            self.code,
            self.json()["message"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

impl Server {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        credentials::write(directory.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self {
            directory,
            port,
            event_ttl: SignedDuration::from_hours(1),
            limits: Limits::default(),
            running: None,
        };
        server.restart().await;
        server
    }

    /// Another server, with the certificate of this one, which is also that of the service `hooks`; tells its port.
    pub async fn serve_beside<F>(&self, answer: fn(Request<Incoming>) -> F) -> u16
    where
        F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
    {
        let (chain, key) = identity(self.directory.path(), "server");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    let _ = served::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                });
            }
        });
        port
    }

    /// Stops the server, if it runs, and starts it on the same store.
    pub async fn restart(&mut self) {
        self.stop().await;
        let at = |name: &str| self.directory.path().join(name);
        let config = Config {
            data_dir: at("data"),
            bind_address: vec!["127.0.0.1".parse().unwrap()],
            port: self.port,
            tls_cert_file: at("server.crt"),
            tls_private_key_file: at("server.key"),
            client_ca_file: at("ca.crt"),
            kubelet_client_certificate: Some(at("admin.crt")),
            kubelet_client_key: Some(at("admin.key")),
            kubelet_certificate_authority: Some(at("ca.crt")),
            proxy_client_cert_file: Some(at("proxy.crt")),
            proxy_client_key_file: Some(at("proxy.key")),
            requestheader_client_ca_file: Some(at("ca.crt")),
            requestheader_allowed_names: vec!["front-proxy-client".into()],
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            token_auth_file: None,
            service_account_issuer: "https://kubernetes.default.svc.cluster.local".into(),
            service_account_signing_key_file: None,
            api_audiences: Vec::new(),
            root_ca_file: None,
            event_ttl: self.event_ttl,
            limits: self.limits.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let serving = tokio::spawn(async move {
            run_until(config, async move {
                // Polled once everything is up.
                let _ = ready.send(());
                let _ = stopped.await;
            })
            .await
            .unwrap();
        });
        is_ready.await.expect("the server starts");
        self.running = Some((stop, serving));
    }

    pub async fn stop(&mut self) {
        if let Some((stop, serving)) = self.running.take() {
            let _ = stop.send(());
            serving.await.unwrap();
        }
    }

    /// A client with a certificate of this name, or with none.
    pub async fn client(&self, name: Option<&str>) -> Client {
        let stream = self.stream(name).await;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Client { sender }
    }

    /// A connection for HTTP/2 with a certificate of this name.
    pub async fn many<B>(&self, name: &str) -> http2::SendRequest<B>
    where
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        let stream = self.agreed(Some(name), &[b"h2"]).await;
        let executor = TokioExecutor::new();
        let (sender, connection) = http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A connection with a certificate of this name, or with none, on which nothing is said yet.
    pub async fn stream(&self, name: Option<&str>) -> TlsStream<TcpStream> {
        self.agreed(name, &[]).await
    }

    /// The same, on which one of these protocols will be spoken.
    pub async fn agreed(&self, name: Option<&str>, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let roots = roots(self.directory.path());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_root_certificates(roots);
        let mut config = match name {
            Some(name) => {
                let (chain, key) = identity(self.directory.path(), name);
                config.with_client_auth_cert(chain, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    pub async fn admin(&self) -> Client {
        self.client(Some("admin")).await
    }
}

pub fn roots(directory: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(directory.join("ca.crt")).unwrap())
        .unwrap();
    roots
}

pub fn identity(directory: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(directory.join(format!("{name}.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key"))).unwrap();
    (vec![certificate], key)
}

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Sends a request; the answer's body isn't read yet.
    pub async fn open(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let (head, body) = self.open(method, path, headers, body).await.into_parts();
        Answer {
            code: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string())
            .await
    }

    pub async fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string())
            .await
    }

    pub async fn merge(&mut self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/merge-patch+json")];
        self.send("PATCH", path, &headers, body.to_string()).await
    }

    /// Creates an object and gives it as it is stored.
    pub async fn create(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.code, 201, "{:?}", answer.body);
        answer.json()
    }

    /// Begins a watch.
    pub async fn watch(&mut self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    /// Begins a watch that sends objects in a form of their own.
    pub async fn watch_as(&mut self, path: &str, accept: &str) -> Watch {
        let answer = self.open("GET", path, &[("accept", accept)], "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        Watch {
            body: answer.into_body(),
            rest: Vec::new(),
        }
    }
}

/// A watch over WebSocket.
pub type Socket = tokio_tungstenite::WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

impl Client {
    /// Begins a watch over WebSocket.
    pub async fn watch_socket(&mut self, path: &str) -> Socket {
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut answer = self.open("GET", path, &headers, "").await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(&mut answer).await.unwrap();
        Socket::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
    }
}

/// The lines of a watch.
pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next event as `TYPE name`.
    pub async fn line(&mut self) -> String {
        let event = self.next().await.expect("the watch goes on");
        let (kind, name) = (&event["type"], &event["object"]["metadata"]["name"]);
        format!("{} {}", kind.as_str().unwrap(), name.as_str().unwrap_or_default())
    }
}
