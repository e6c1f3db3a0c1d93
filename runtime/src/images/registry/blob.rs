//! A blob as a stream of bytes that goes on where it broke: at the same registry after a pause, then at the next one.
//! Content by digest is the same everywhere, so a mirror and its registry can each send a part.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};

use super::failure;
use super::session::Session;
use crate::images::digest::Digest;
use crate::images::error::PullError;

/// So much without a break makes the breaks before it count no more. Less, and a server that breaks after each byte would
/// never be given up.
const GOOD_STRETCH_BYTES: u64 = 4 << 20;

/// One blob on its way. Says nothing about its digest: whoever reads it hashes it.
pub(crate) struct Blob<'a> {
    /// Where to ask, the preferred one first.
    sessions: Vec<&'a Session>,
    digest: Digest,
    size_bytes: u64,
    received_bytes: u64,
    stretch_bytes: u64,
    breaks: u32,
    response: Option<Response>,
    /// Bytes to pass over, when a server begins anew.
    skip_bytes: u64,
}

impl<'a> Blob<'a> {
    pub(crate) fn new(sessions: Vec<&'a Session>, digest: &Digest, size_bytes: u64) -> Self {
        Self {
            sessions,
            digest: digest.clone(),
            size_bytes,
            received_bytes: 0,
            stretch_bytes: 0,
            breaks: 0,
            response: None,
            skip_bytes: 0,
        }
    }

    /// Host that is sending, for messages.
    pub(crate) fn host(&self) -> &str {
        self.sessions[0].host()
    }

    /// The next bytes; none when all have come.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        while self.received_bytes < self.size_bytes || self.response.is_none() {
            match self.piece().await {
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) if self.received_bytes == self.size_bytes => return Ok(None),
                Ok(None) => self.broken(self.interrupted(Arc::new(CutShort))).await?,
                Err(error @ PullError::Size { .. }) => return Err(error),
                Err(error) => self.broken(error).await?,
            }
        }
        self.end().await
    }

    /// All that was announced has come: there must be nothing behind it.
    async fn end(&mut self) -> Result<Option<Bytes>, PullError> {
        match self.piece().await {
            Ok(Some(_)) => Err(self.too_long()),
            // A connection that breaks now has nothing left to lose.
            Err(error @ PullError::Size { .. }) => Err(error),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, PullError> {
        loop {
            let session = self.sessions[0];
            if self.response.is_none() {
                self.response = Some(self.open(session).await?);
            }
            let response = self.response.as_mut().expect("it was just opened");
            let read = response.chunk().await;
            let piece = read.map_err(|error| failure::transport(error, session.host(), session.proxy.as_deref()))?;
            let Some(mut piece) = piece else {
                return Ok(None);
            };
            let skipped = self.skip_bytes.min(piece.len() as u64);
            self.skip_bytes -= skipped;
            let piece = piece.split_off(usize::try_from(skipped).expect("at most the piece's length"));
            if piece.is_empty() {
                continue;
            }
            self.received_bytes += piece.len() as u64;
            self.stretch_bytes += piece.len() as u64;
            if self.received_bytes > self.size_bytes {
                return Err(self.too_long());
            }
            if self.stretch_bytes >= GOOD_STRETCH_BYTES {
                self.breaks = 0;
            }
            return Ok(Some(piece));
        }
    }

    async fn open(&mut self, session: &Session) -> Result<Response, PullError> {
        let from = Some(self.received_bytes).filter(|from| *from > 0);
        let response = session
            .ask(Method::GET, &format!("blobs/{}", self.digest), from)
            .await?;
        let start = response.headers().get(CONTENT_RANGE).and_then(|value| {
            let range = value.to_str().ok()?.strip_prefix("bytes ")?;
            range.split('-').next()?.parse::<u64>().ok()
        });
        self.stretch_bytes = 0;
        self.skip_bytes = match (response.status(), start) {
            (StatusCode::PARTIAL_CONTENT, Some(start)) if start <= self.received_bytes => self.received_bytes - start,
            (StatusCode::PARTIAL_CONTENT, _) => return Err(self.interrupted(Arc::new(WrongRange))),
            // The server knows no ranges and sends everything again.
            _ => self.received_bytes,
        };
        Ok(response)
    }

    /// Decides what a break means: a pause and another attempt, another registry, or the end.
    async fn broken(&mut self, error: PullError) -> Result<(), PullError> {
        self.response = None;
        self.breaks += 1;
        let session = self.sessions[0];
        let may_help = matches!(
            error,
            PullError::Interrupted { .. } | PullError::Timeout { .. } | PullError::Proxy { .. }
        );
        if may_help && self.breaks < session.patience.attempts {
            tracing::debug!(registry = session.host(), digest = %self.digest, %error, "going on with a blob that broke off");
            tokio::time::sleep(session.patience.pause(self.breaks)).await;
            return Ok(());
        }
        if self.sessions.len() > 1 {
            tracing::warn!(registry = session.host(), digest = %self.digest, %error, "going on with the next registry");
            self.sessions.remove(0);
            self.breaks = 0;
            return Ok(());
        }
        Err(match error {
            PullError::Interrupted { source, .. } => self.interrupted(source),
            other => other,
        })
    }

    fn interrupted(&self, source: crate::images::error::Cause) -> PullError {
        PullError::Interrupted {
            registry: self.host().to_owned(),
            what: format!("blob {}", self.digest),
            received_bytes: self.received_bytes,
            source,
        }
    }

    fn too_long(&self) -> PullError {
        PullError::Size {
            what: format!("blob {}", self.digest),
            registry: self.host().to_owned(),
            expected_bytes: self.size_bytes,
            actual_bytes: self.received_bytes,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it ended before its announced length")]
struct CutShort;

#[derive(Debug, thiserror::Error)]
#[error("another range came than was asked for")]
struct WrongRange;
