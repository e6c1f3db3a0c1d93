//! A client that costs as little as a client can, since it shares the machine with what is measured: HTTP/1.1 by hand over TLS,
//! bodies that aren't decoded, events that are counted and not read.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Connects with the certificate of an administrator.
#[derive(Clone)]
pub(crate) struct Door {
    tls: TlsConnector,
    port: u16,
}

/// One connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

/// A watch, and the last byte that came.
pub(crate) struct Watch {
    connection: Connection,
    last: u8,
}

impl Door {
    pub(crate) fn new(directory: &Path, port: u16) -> Self {
        let certificate =
            |name| CertificateDer::from_pem_file(directory.join(name)).expect("the certificate was written");
        let key = PrivateKeyDer::from_pem_file(directory.join("admin.key")).expect("the key was written");
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.crt")).expect("a good certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what these versions need")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate("admin.crt")], key)
            .expect("key and certificate belong together");
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            port,
        }
    }

    /// `None` when nobody listens.
    pub(crate) async fn knock(&self) -> Option<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        Some(Connection {
            stream: self.tls.connect(name, stream).await.ok()?,
            received: Vec::new(),
        })
    }

    pub(crate) async fn open(&self) -> Connection {
        self.knock().await.expect("the server takes connections")
    }
}

impl Connection {
    /// One request whose answer has to be 200 or 201; gives the length of the answer's body.
    pub(crate) async fn send(&mut self, method: &str, path: &str, media_type: &str, body: &str) -> usize {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream
            .write_all(request.as_bytes())
            .await
            .expect("the server reads");
        self.stream.flush().await.expect("the server reads");
        let (head_bytes, body_bytes) = self.head().await;
        let whole = head_bytes + body_bytes.expect("an answer says how long it is");
        // What is there of the body is counted and thrown away.
        let mut seen = self.received.len();
        while seen < whole {
            self.received.clear();
            seen += self.receive().await;
        }
        assert_eq!(seen, whole, "nothing comes behind an answer");
        self.received.clear();
        whole - head_bytes
    }

    pub(crate) async fn get(&mut self, path: &str) -> usize {
        self.send("GET", path, "application/json", "").await
    }

    /// Begins a watch.
    pub(crate) async fn watch(mut self, path: &str) -> Watch {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        self.stream
            .write_all(request.as_bytes())
            .await
            .expect("the server reads");
        self.stream.flush().await.expect("the server reads");
        let (head_bytes, _) = self.head().await;
        self.received.drain(..head_bytes);
        Watch {
            connection: self,
            last: 0,
        }
    }

    /// Reads a head; gives its length and that of its body, if it says so.
    async fn head(&mut self) -> (usize, Option<usize>) {
        let head_bytes = loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.receive().await;
        };
        let head = String::from_utf8_lossy(&self.received[..head_bytes]);
        assert!(
            head.starts_with("HTTP/1.1 20"),
            "{}",
            String::from_utf8_lossy(&self.received)
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        (head_bytes, length.map(|length| length.parse().expect("a number")))
    }

    async fn receive(&mut self) -> usize {
        self.received.reserve(64 * 1024);
        let read = self
            .stream
            .read_buf(&mut self.received)
            .await
            .expect("the connection stays");
        assert!(read > 0, "the server closed the connection");
        read
    }
}

impl Watch {
    /// Waits for more; gives how many events are complete with it.
    pub(crate) async fn events(&mut self) -> usize {
        if self.connection.received.is_empty() {
            self.connection.receive().await;
        }
        let count = count(&self.connection.received, &mut self.last);
        self.connection.received.clear();
        count
    }
}

/// Events end with `}` and a newline; the newlines of chunked encoding stand behind a carriage return.
fn count(bytes: &[u8], last: &mut u8) -> usize {
    let (mut rest, mut events) = (bytes, 0);
    while let Ok(length @ 1..) = rest.skip_until(b'\n') {
        let end = bytes.len() - rest.len();
        let before = if end > 1 { bytes[end - 2] } else { *last };
        events += usize::from(bytes[end - 1] == b'\n' && before == b'}');
        debug_assert!(length > 0);
    }
    *last = bytes.last().copied().unwrap_or(*last);
    events
}
