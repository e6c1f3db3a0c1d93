//! A push from an image's blobs to a registry: parts first, three at a time, then its documents from the manifest up, the last
//! one under the tag. A registry takes a document only when it has all that the document names.
//!
//! Of an image for many platforms only this machine's part is here, unless the registry has the others already (as it does
//! where the image came from). Where it refuses the index, the manifest alone is pushed under the tag, as docker does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use minik_api::images::layer::State;

use super::digest::Digest;
use super::error::{PullError, chain};
use super::listing::Documents;
use super::manifest::{self, Document};
use super::progress::{Board, Tracker};
use super::reference::Reference;
use super::registry::{self, Access, Session, Upload};
use super::{Image, Images};

/// Blobs on their way at the same time: containerd's and docker's number.
const AT_ONCE: usize = 3;
/// Between two looks at how much of a blob has gone.
const LOOK: Duration = Duration::from_millis(100);

/// Why an image couldn't be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// There is nothing of this name.
    #[error("image {0:?}: not found")]
    NotFound(String),
    /// There is no manifest that could be sent.
    #[error("image {0:?} came from an archive without a manifest, to an older version; import it again")]
    NoManifest(String),
    /// A push needs a tag, or the digest that the image has.
    #[error("{0}: a digest can't be chosen; give the name a tag")]
    ByDigest(Reference),
    /// A part of it isn't here.
    #[error("blob {digest} of {image} is not here; pull the image again")]
    Missing {
        /// The image.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// The registry or the disk refuses.
    #[error("push {name}")]
    Registry {
        /// Where to.
        name: String,
        /// The refusal.
        #[source]
        source: Box<PullError>,
    },
}

impl PushError {
    /// For gRPC.
    #[must_use]
    pub fn to_status(&self) -> tonic::Status {
        let code = match self {
            Self::NotFound(_) => tonic::Code::NotFound,
            Self::NoManifest(_) | Self::Missing { .. } => tonic::Code::FailedPrecondition,
            Self::ByDigest(_) => tonic::Code::InvalidArgument,
            Self::Registry { source, .. } => source.code(),
        };
        tonic::Status::new(code, chain(self))
    }
}

impl Images {
    /// Sends an image to where a reference says; gives the digest that the registry has it under.
    ///
    /// # Errors
    /// See [`PushError`].
    pub async fn push(&self, image: &str, to: &Reference, access: Access) -> Result<Digest, PushError> {
        let board = Arc::clone(&self.inner.board);
        self.push_shown_on(&board, image, to, access).await
    }

    /// Pushes and shows the progress on a board of the caller's own.
    pub(super) async fn push_shown_on(
        &self,
        board: &Arc<Board>,
        image: &str,
        to: &Reference,
        access: Access,
    ) -> Result<Digest, PushError> {
        // Nothing of it may be collected meanwhile.
        let _busy = self.busy().await;
        let found = self.find(image).ok_or_else(|| PushError::NotFound(image.to_owned()))?;
        let name = self.full_name(&found, image);
        let failed = |source| PushError::Registry {
            name: to.to_string(),
            source: Box::new(source),
        };
        let store = |error| failed(PullError::store("read a manifest", &self.inner.root, Arc::new(error)));
        let documents = self.documents(&found, &name).map_err(store)?;
        let documents = documents.ok_or_else(|| PushError::NoManifest(image.to_owned()))?;
        if to.digest().is_some_and(|digest| *digest != documents.all[0].0) {
            return Err(PushError::ByDigest(to.clone()));
        }
        let session = self.session_to(to, access).map_err(failed)?;
        let tracker = board.track(to.to_string());
        let push = Push {
            images: self,
            session: &session,
            to,
            documents: &documents,
            tracker: &tracker,
        };
        let result = push.run(&found).await;
        match &result {
            Ok(digest) => tracker.done(digest.to_string()),
            Err(error) => tracker.failed(chain(error)),
        }
        result
    }

    /// The name that a user means, as the image has it.
    pub(super) fn full_name(&self, image: &Image, name: &str) -> String {
        let full = name.parse::<Reference>().map(|reference| match reference.digest() {
            Some(digest) => format!("{}@{digest}", reference.name()),
            None => reference.tagged().unwrap_or_default(),
        });
        let own = full
            .ok()
            .filter(|full| image.tags.contains(full) || image.digests.contains(full));
        own.or_else(|| image.tags.first().cloned())
            .or_else(|| image.digests.first().cloned())
            .unwrap_or_default()
    }

    /// To the registry itself: a mirror is for reading.
    fn session_to(&self, to: &Reference, access: Access) -> Result<Session, PullError> {
        let endpoint = registry::itself(to.registry(), access.plain_http);
        let credentials = match access.credentials {
            Some(given) => Some(given),
            None => self.inner.configured(to.registry())?,
        };
        let patience = self.inner.registries.patience;
        Session::uploading(&self.inner.clients, endpoint, to.repository(), credentials, patience)
    }
}

struct Push<'a> {
    images: &'a Images,
    session: &'a Session,
    to: &'a Reference,
    documents: &'a Documents,
    tracker: &'a Tracker,
}

impl Push<'_> {
    async fn run(&self, image: &Image) -> Result<Digest, PushError> {
        let uploads = self.uploads(image)?;
        for (number, (digest, _, bytes)) in self.documents.all.iter().enumerate().rev() {
            self.show(number, digest, bytes.len(), State::Waiting);
        }
        let (config, layers) = uploads.split_first().expect("every manifest has a config");
        self.tracker
            .document("config", config.digest.as_str(), config.size_bytes, State::Waiting);
        self.tracker
            .layers(layers.iter().map(|layer| (layer.digest.to_string(), layer.size_bytes)));
        let send = |(number, upload)| self.send(number, upload);
        stream::iter(layers.iter().enumerate())
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, send)
            .await?;
        let sent = self.session.upload(config, &Arc::default()).await;
        let state = done(sent.map_err(|error| self.failed(error))?);
        self.tracker
            .document("config", config.digest.as_str(), config.size_bytes, state);
        self.documents_up().await
    }

    /// The manifest first, then what points at it.
    async fn documents_up(&self) -> Result<Digest, PushError> {
        let mut last = None;
        for (number, (digest, media_type, bytes)) in self.documents.all.iter().enumerate().rev() {
            let tag = self.to.tag().filter(|_| number == 0);
            let object = tag.unwrap_or(digest.as_str());
            match self.session.put_manifest(object, media_type, bytes).await {
                Ok(()) => last = Some(digest.clone()),
                // Registries say by different codes that something is missing.
                Err(error @ (PullError::Status { .. } | PullError::NotFound { .. }))
                    if last.is_some() && self.is_partial(bytes) =>
                {
                    let error = chain(&error);
                    tracing::info!(image = %self.to, error, "the registry lacks other platforms; this one's is pushed alone");
                    break;
                }
                Err(error) => return Err(self.failed(error)),
            }
            self.show(number, digest, bytes.len(), State::Done);
        }
        let (digest, media_type, bytes) = self.documents.all.last().expect("there is a manifest");
        let whole = last.as_ref() == Some(&self.documents.all[0].0);
        if !whole && let Some(tag) = self.to.tag() {
            let put = self.session.put_manifest(tag, media_type, bytes).await;
            put.map_err(|error| self.failed(error))?;
        }
        Ok(last.unwrap_or_else(|| digest.clone()))
    }

    /// Whether an index names something that isn't here.
    fn is_partial(&self, bytes: &[u8]) -> bool {
        let content = &self.images.inner.destination.content;
        match manifest::read(bytes, "") {
            Ok(Document::Index(manifests)) => manifests
                .iter()
                .any(|entry| !manifest::digest_of(entry).is_ok_and(|digest| content.has(&digest))),
            _ => false,
        }
    }

    async fn send(&self, number: usize, upload: &Upload) -> Result<(), PushError> {
        let sent = Arc::new(AtomicU64::new(0));
        self.tracker.state(number, State::Downloading);
        let looking = async {
            let mut shown = 0;
            loop {
                tokio::time::sleep(LOOK).await;
                let now = sent.load(Ordering::Relaxed);
                self.tracker.advance(number, now.saturating_sub(shown));
                shown = now.max(shown);
            }
        };
        let uploaded = tokio::select! {
            uploaded = self.session.upload(upload, &sent) => uploaded.map_err(|error| self.failed(error))?,
            () = looking => unreachable!("looking goes on until the blob is sent"),
        };
        self.tracker.state(number, done(uploaded));
        Ok(())
    }

    /// Config and layers with their files, each once.
    fn uploads(&self, image: &Image) -> Result<Vec<Upload>, PushError> {
        let content = &self.images.inner.destination.content;
        let mount_from = self.sibling(image);
        let mut uploads: Vec<Upload> = Vec::new();
        for (digest, _, size_bytes) in &self.documents.parts {
            if uploads.iter().any(|known| known.digest == *digest) {
                continue;
            }
            if !content.has(digest) {
                return Err(PushError::Missing {
                    image: self.to.to_string(),
                    digest: digest.clone(),
                });
            }
            uploads.push(Upload {
                digest: digest.clone(),
                size_bytes: *size_bytes,
                path: content.path(digest),
                mount_from: mount_from.clone(),
            });
        }
        Ok(uploads)
    }

    /// Another repository of the same registry that the image has a name in.
    fn sibling(&self, image: &Image) -> Option<String> {
        let names = image.tags.iter().chain(&image.digests);
        let repositories = names.filter_map(|name| name.parse::<Reference>().ok());
        repositories
            .filter(|own| own.registry() == self.to.registry() && own.repository() != self.to.repository())
            .map(|own| own.repository().to_owned())
            .next()
    }

    fn show(&self, number: usize, digest: &Digest, bytes: usize, state: State) {
        let last = number + 1 == self.documents.all.len();
        let kind = if last { "manifest" } else { "index" };
        self.tracker.document(kind, digest.as_str(), bytes as u64, state);
    }

    fn failed(&self, source: PullError) -> PushError {
        PushError::Registry {
            name: self.to.to_string(),
            source: Box::new(source),
        }
    }
}

fn done(sent: bool) -> State {
    if sent { State::Done } else { State::Exists }
}
