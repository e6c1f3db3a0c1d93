//! Sending blobs and manifests to a registry (distribution specification, "Pushing"): what is there already is left alone, what
//! another repository of the registry has is mounted, the rest goes in one piece.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio_util::io::ReaderStream;

use super::failure;
use super::session::{Session, host_of};
use crate::images::digest::Digest;
use crate::images::error::PullError;

/// Pieces of a blob between disk and network.
const PIECE_BYTES: usize = 128 << 10;
/// A registry that has everything may take its time to check and move it: so many times the stall of a download.
const STALLS: u32 = 4;

/// A blob to send.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) path: PathBuf,
    /// Repository of the same registry that may have it.
    pub(crate) mount_from: Option<String>,
}

/// What goes with a request; made anew for each attempt.
enum Load<'a> {
    Nothing,
    Bytes(&'a str, Vec<u8>),
    File(&'a Upload, Arc<AtomicU64>),
}

impl Session {
    /// Sends a blob unless it is there; false if it was. `sent` grows by bytes on their way.
    pub(crate) async fn upload(&self, upload: &Upload, sent: &Arc<AtomicU64>) -> Result<bool, PullError> {
        match self.ask(Method::HEAD, &format!("blobs/{}", upload.digest), None).await {
            Ok(_) => return Ok(false),
            Err(PullError::NotFound { .. } | PullError::NameNotFound { .. }) => {}
            // Some registries ask for a login only for what they have: the request that follows tells.
            Err(PullError::LoginNeeded { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut attempt = 1;
        loop {
            sent.store(0, Ordering::Relaxed);
            match self.upload_once(upload, sent).await {
                Err(error) if failure::is_transient(&error) && attempt < self.patience.attempts => {
                    tracing::debug!(registry = self.host(), digest = %upload.digest, attempt, %error, "sending a blob again");
                    tokio::time::sleep(self.patience.pause(attempt)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn upload_once(&self, upload: &Upload, sent: &Arc<AtomicU64>) -> Result<bool, PullError> {
        let mut begin = self.url("blobs/uploads/")?;
        if let Some(from) = &upload.mount_from {
            begin
                .query_pairs_mut()
                .append_pair("mount", upload.digest.as_str())
                .append_pair("from", from);
        }
        let begun = self.change(Method::POST, &begin, Load::Nothing).await?;
        if begun.status() == StatusCode::CREATED {
            return Ok(false);
        }
        let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|location| begun.url().join(location).ok());
        let mut target = location.ok_or_else(|| PullError::Garbage {
            registry: self.host().to_owned(),
            what: "place for an upload".to_owned(),
            source: Arc::new(NoLocation),
        })?;
        target.query_pairs_mut().append_pair("digest", upload.digest.as_str());
        let put = self.change(Method::PUT, &target, Load::File(upload, Arc::clone(sent)));
        put.await.map(|_| true)
    }

    /// Sends a manifest or index under a tag or its digest.
    pub(crate) async fn put_manifest(&self, object: &str, media_type: &str, bytes: &[u8]) -> Result<(), PullError> {
        let url = self.url(&format!("manifests/{object}"))?;
        let load = Load::Bytes(media_type, bytes.to_vec());
        self.change(Method::PUT, &url, load).await.map(drop)
    }

    async fn change(&self, method: Method, url: &Url, load: Load<'_>) -> Result<Response, PullError> {
        let mut response = self.change_once(&method, url, &load).await?;
        if self.log_in(&response).await? {
            response = self.change_once(&method, url, &load).await?;
        }
        self.accept(response, "a push").await
    }

    async fn change_once(&self, method: &Method, url: &Url, load: &Load<'_>) -> Result<Response, PullError> {
        let mut request = self.client.request(method.clone(), url.clone());
        // A place for uploads elsewhere brings its own permission along in its address.
        if let Some(authorization) = self.authorization().filter(|_| host_of(url) == self.host_in_url()) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let progress = match load {
            Load::Nothing => {
                request = request.header(CONTENT_LENGTH, 0);
                Arc::default()
            }
            Load::Bytes(kind, bytes) => {
                request = request.header(CONTENT_TYPE, *kind).body(bytes.clone());
                Arc::default()
            }
            Load::File(upload, sent) => {
                let body = body(upload, Arc::clone(sent)).await.map_err(|error| PullError::Store {
                    act: format!("read blob {}", upload.digest),
                    source: Arc::new(error),
                })?;
                request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, upload.size_bytes)
                    .body(body);
                Arc::clone(sent)
            }
        };
        let failed = |error| failure::transport(error, self.host(), self.proxy.as_deref());
        tokio::select! {
            response = request.send() => response.map_err(failed),
            () = stalled(&progress, self.patience.stall * STALLS) => Err(PullError::Timeout { registry: self.host().to_owned() }),
        }
    }

    fn url(&self, object: &str) -> Result<Url, PullError> {
        let url = self.endpoint.url(&self.repository, object);
        Url::parse(&url).map_err(|error| PullError::Garbage {
            registry: self.host().to_owned(),
            what: "address".to_owned(),
            source: Arc::new(error),
        })
    }
}

async fn body(upload: &Upload, sent: Arc<AtomicU64>) -> io::Result<Body> {
    let file = tokio::fs::File::open(&upload.path).await?;
    let pieces = ReaderStream::with_capacity(file, PIECE_BYTES);
    Ok(Body::wrap_stream(pieces.inspect_ok(move |piece| {
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    })))
}

/// Ends when nothing has gone on for so long: a whole upload takes as long as it takes.
async fn stalled(progress: &AtomicU64, patience: Duration) {
    let mut before = None;
    loop {
        let now = progress.load(Ordering::Relaxed);
        if before.replace(now) == Some(now) {
            return;
        }
        tokio::time::sleep(patience).await;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer has no Location in it")]
struct NoLocation;
