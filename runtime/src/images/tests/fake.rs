//! A registry that misbehaves: every answer is decided by the test, down to the bytes and the end of the connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::sample::{MANIFEST, Sample};

/// What a client asked for; header names in lower case.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// With the query.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// First byte asked for.
    pub(super) fn range_start(&self) -> Option<usize> {
        self.header("range")?
            .strip_prefix("bytes=")?
            .split('-')
            .next()?
            .parse()
            .ok()
    }
}

/// What it gets.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    head: String,
    body: Vec<u8>,
    /// Keeps the connection open for so long after the body.
    then_wait: Duration,
}

impl Reply {
    pub(super) fn new(status: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::announcing(status, headers, body.len(), body)
    }

    /// Says another length than it sends.
    pub(super) fn announcing(status: &str, headers: &[(&str, &str)], length: usize, body: impl Into<Vec<u8>>) -> Self {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        Self {
            head: format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"),
            body: body.into(),
            then_wait: Duration::ZERO,
        }
    }

    pub(super) fn raw(bytes: &str) -> Self {
        Self {
            head: bytes.to_owned(),
            body: Vec::new(),
            then_wait: Duration::ZERO,
        }
    }

    pub(super) fn then_wait(mut self, wait: Duration) -> Self {
        self.then_wait = wait;
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// Serves until it is dropped, and remembers who asked for what.
pub(super) struct Fake {
    pub(super) host: String,
    requests: Arc<Mutex<Vec<Request>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Fake {
    pub(super) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = listener.local_addr().expect("bound").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&requests));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                tokio::spawn(async move {
                    // A client that hangs up in the middle is what some tests want.
                    let _ = serve(stream, &*handler, &seen).await;
                });
            }
        });
        Self { host, requests, server }
    }

    /// Serves an image properly but for what `handler` decides otherwise.
    pub(super) async fn with_image(
        sample: Sample,
        handler: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request| handler(request).unwrap_or_else(|| proper(&sample, request))).await
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic in a handler").clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a right registry would answer.
pub(super) fn proper(sample: &Sample, request: &Request) -> Reply {
    let path = request.path.split('?').next().expect("a first part");
    if path.contains("/manifests/") {
        let digest = sample.digest().to_string();
        let body = if request.method == "HEAD" {
            Vec::new()
        } else {
            sample.manifest.clone()
        };
        return Reply::announcing(
            "200 OK",
            &[("Content-Type", MANIFEST), ("Docker-Content-Digest", &digest)],
            sample.manifest.len(),
            body,
        );
    }
    let blob = path
        .rsplit('/')
        .next()
        .and_then(|digest| sample.blobs.get(&digest.parse().ok()?));
    match (blob, request.range_start()) {
        (Some(blob), None) => Reply::new("200 OK", &[], blob.clone()),
        (Some(blob), Some(start)) => {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            Reply::new("206 Partial Content", &[("Content-Range", &range)], &blob[start..])
        }
        (None, _) => Reply::new("404 Not Found", &[], ""),
    }
}

async fn serve(mut stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut next = || first.next().unwrap_or_default().to_owned();
    let request = Request {
        method: next(),
        path: next(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    };
    let reply = handler(&request);
    seen.lock().expect("no panic in a handler").push(request);
    stream.write_all(reply.head.as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.flush().await?;
    tokio::time::sleep(reply.then_wait).await;
    stream.shutdown().await
}
