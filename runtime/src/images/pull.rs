//! A pull from the reference to the listed image: resolve, choose the platform, fetch the config, assemble the layers, record.
//!
//! Everything is on disk before the image is listed; what fails in between leaves whole layers behind, which the next attempt
//! finds, and nothing else; on a full disk not even those.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use minik_api::images::layer::State;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::assemble::{Assembly, Source};
use super::catalogue::{Catalogue, Image};
use super::digest::Digest;
use super::error::{PullError, chain};
use super::listing::{self, Documents};
use super::manifest::{self, Document, Unusable};
use super::platform::Platform;
use super::progress::Tracker;
use super::reference::Reference;
use super::registry::{self, Access, Blob, Fetched, Session};
use super::{Images, Inner};

/// An index may point at an index; no tool nests them deeper.
const INDEXES: usize = 3;
/// A config is read into memory: the limit of manifests.
const CONFIG_BYTES: u64 = 4 << 20;

/// Pulls, and tells the watchers.
pub(super) async fn run(images: Images, reference: Reference, access: Access) -> Result<Arc<Image>, PullError> {
    let busy = images.busy().await;
    let tracker = images.inner.board.track(reference.to_string());
    let pull = Pull {
        inner: &images.inner,
        catalogue: &images.catalogue,
        access: &access,
        reference: &reference,
        tracker: &tracker,
    };
    let mut result = pull.run().await;
    if is_no_space(&result) && images.trash_is_emptied().await {
        // What was removed a moment ago took the space.
        result = pull.run().await;
    }
    if is_no_space(&result) {
        // Everywhere else whole layers are kept for the next attempt: here they would keep the disk full.
        drop(busy);
        if let Err(error) = images.collect().await {
            // The pull's own error is what matters.
            tracing::warn!(error = chain(&error), "collecting what a failed pull left stopped");
        }
    }
    match &result {
        Ok(image) => tracker.done(image.id.to_string()),
        Err(error) => tracker.failed(chain(error)),
    }
    result
}

fn is_no_space(result: &Result<Arc<Image>, PullError>) -> bool {
    matches!(result, Err(PullError::NoSpace { .. }))
}

struct Pull<'a> {
    inner: &'a Inner,
    catalogue: &'a Catalogue,
    access: &'a Access,
    reference: &'a Reference,
    tracker: &'a Tracker,
}

/// The image of this machine's platform inside what the reference names.
struct Resolved {
    /// What the reference names: index or manifest.
    top: Digest,
    /// Manifests and indexes on the way.
    documents: Vec<Fetched>,
    manifest: Box<ImageManifest>,
}

impl Pull<'_> {
    async fn run(&self) -> Result<Arc<Image>, PullError> {
        let mut sessions = self.sessions()?;
        if let Some(image) = self.unchanged(&sessions[0]).await {
            return Ok(image);
        }
        let (preferred, resolved) = self.resolve(&sessions).await?;
        // Mirrors that failed are not asked again; those behind the one that answered stand by.
        sessions.drain(..preferred);
        self.show(&resolved);
        let (config_digest, config_bytes) = self.config(&sessions, resolved.manifest.config()).await?;
        self.tracker
            .document("config", config_digest.as_str(), config_bytes.len() as u64, State::Done);
        let config: ImageConfiguration = serde_json::from_slice(&config_bytes)
            .map_err(|error| self.broken(format!("its config can't be read: {error}")))?;
        self.check_platform(&config)?;
        let plan = manifest::plan(resolved.manifest.layers(), &config).map_err(|what| self.broken(what))?;
        let assembly = Assembly {
            inner: self.inner,
            image: self.reference.to_string(),
            source: Source::Registries(&sessions),
            tracker: self.tracker,
        };
        assembly.run(&plan).await?;

        let mut content: Vec<Digest> = plan.iter().map(|layer| layer.digest.clone()).collect();
        self.keep(&config_digest, &config_bytes)?;
        content.push(config_digest.clone());
        for document in &resolved.documents {
            self.keep(&document.digest, &document.bytes)?;
            content.push(document.digest.clone());
        }
        let tag = self.reference.tagged().filter(|_| self.reference.digest().is_none());
        let image = Image {
            id: config_digest,
            targets: tag.iter().map(|tag| (tag.clone(), resolved.top.clone())).collect(),
            tags: tag.into_iter().collect(),
            digests: vec![format!("{}@{}", self.reference.name(), resolved.top)],
            size_bytes: config_bytes.len() as u64 + plan.iter().map(|layer| layer.size_bytes).sum::<u64>(),
            config,
            chain: plan.into_iter().next_back().map(|layer| layer.chain),
            pinned: false,
            content,
        };
        self.catalogue
            .add(image)
            .map_err(|error| self.store("record the image", error))
    }

    /// One session for each place to ask. Credentials given for a registry never go to its mirrors.
    fn sessions(&self) -> Result<Vec<Session>, PullError> {
        let registries = &self.inner.registries;
        let given = &self.access.credentials;
        let configured = |host: &str| self.inner.configured(host);
        let registry = self.reference.registry();
        let endpoints = registry::endpoints(registry, &registries.mirrors, self.access.plain_http);
        let mut sessions = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let credentials = match (given, &endpoint.mirror_of) {
                (_, Some(_)) => configured(&endpoint.host)?,
                (Some(given), None) => Some(given.clone()),
                (None, None) => configured(registry)?,
            };
            let (clients, repository) = (&self.inner.clients, self.reference.repository());
            let session = Session::new(clients, endpoint, repository, credentials, registries.patience)?;
            sessions.push(session);
        }
        Ok(sessions)
    }

    /// The image that is here already, if the registry says that its name still means the same. A failure means nothing: the
    /// fetch that follows tells the reason.
    async fn unchanged(&self, session: &Session) -> Option<Arc<Image>> {
        let image = self.catalogue.find(&self.reference.to_string())?;
        let digest = session.head(self.reference.object()).await.ok()??;
        let name = format!("{}@{digest}", self.reference.name());
        let image = image.digests.contains(&name).then_some(image)?;
        // All of it is here: a picture of that is for who watches only.
        if let Ok(Some(documents)) = listing::documents(&self.inner.destination.content, &digest, &image) {
            self.show_present(&documents);
        }
        Some(image)
    }

    /// Asks one place after the other; the number of the one that answered comes back too.
    async fn resolve(&self, sessions: &[Session]) -> Result<(usize, Resolved), PullError> {
        let mut mirrors = Vec::new();
        for (number, session) in sessions.iter().enumerate() {
            match self.resolve_at(session).await {
                Ok(resolved) => return Ok((number, resolved)),
                Err(error) if session.is_mirror() => {
                    tracing::warn!(mirror = session.host(), image = %self.reference, error = chain(&error), "a mirror failed");
                    mirrors.push(format!("the mirror {} failed: {}", session.host(), chain(&error)));
                }
                Err(error) if mirrors.is_empty() => return Err(error),
                Err(error) => {
                    return Err(PullError::Mirrors {
                        mirrors: mirrors.join("; "),
                        origin: Box::new(error),
                    });
                }
            }
        }
        unreachable!("the registry itself is always the last one to ask")
    }

    async fn resolve_at(&self, session: &Session) -> Result<Resolved, PullError> {
        let mut object = self.reference.object().to_owned();
        let mut documents: Vec<Fetched> = Vec::new();
        for _ in 0..INDEXES {
            let fetched = session.manifest(&object).await?;
            let document = manifest::read(&fetched.bytes, &fetched.media_type);
            documents.push(fetched);
            match document.map_err(|error| self.unusable(session, error))? {
                Document::Manifest(manifest) => {
                    let top = documents[0].digest.clone();
                    return Ok(Resolved {
                        top,
                        documents,
                        manifest,
                    });
                }
                Document::Index(manifests) => {
                    let chosen = self
                        .inner
                        .host
                        .choose(&manifests)
                        .map_err(|offered| self.wrong_platform(&offered))?;
                    object = chosen.digest().to_string();
                }
            }
        }
        Err(self.broken("its index points at an index, and that at another".to_owned()))
    }

    /// The config, from the content store or the registry.
    async fn config(&self, sessions: &[Session], descriptor: &Descriptor) -> Result<(Digest, Bytes), PullError> {
        let digest = manifest::digest_of(descriptor).map_err(|error| self.broken(error.to_string()))?;
        let kept = self
            .inner
            .destination
            .content
            .read(&digest)
            .map_err(|error| self.store("read a config", error))?;
        if let Some(bytes) = kept {
            return Ok((digest, bytes.into()));
        }
        if descriptor.size() > CONFIG_BYTES {
            return Err(self.broken(format!("its config has {} bytes; 4 MiB are allowed", descriptor.size())));
        }
        let mut blob = Blob::new(sessions.iter().collect(), &digest, descriptor.size());
        let mut bytes = BytesMut::new();
        while let Some(piece) = blob.next().await? {
            bytes.extend_from_slice(&piece);
        }
        let actual = Digest::of(&bytes);
        if actual != digest {
            return Err(PullError::Digest {
                what: "the config".to_owned(),
                registry: blob.host().to_owned(),
                expected: digest,
                actual,
            });
        }
        Ok((digest, bytes.freeze()))
    }

    fn show_present(&self, documents: &Documents) {
        let last = documents.all.len() - 1;
        for (number, (digest, _, bytes)) in documents.all.iter().enumerate() {
            let kind = if number == last { "manifest" } else { "index" };
            self.tracker
                .document(kind, digest.as_str(), bytes.len() as u64, State::Exists);
        }
        let (config, layers) = documents.parts.split_first().expect("every manifest has a config");
        self.tracker
            .document("config", config.0.as_str(), config.2, State::Exists);
        self.tracker
            .layers(layers.iter().map(|(digest, _, bytes)| (digest.to_string(), *bytes)));
        for number in 0..layers.len() {
            self.tracker.state(number, State::Exists);
        }
    }

    /// Shows the documents that have come, and the config that is to come.
    fn show(&self, resolved: &Resolved) {
        let last = resolved.documents.len() - 1;
        for (number, document) in resolved.documents.iter().enumerate() {
            let kind = if number == last { "manifest" } else { "index" };
            let bytes = document.bytes.len() as u64;
            self.tracker
                .document(kind, document.digest.as_str(), bytes, State::Done);
        }
        let config = resolved.manifest.config();
        self.tracker
            .document("config", config.digest().as_ref(), config.size(), State::Waiting);
    }

    fn check_platform(&self, config: &ImageConfiguration) -> Result<(), PullError> {
        let built_for = Platform::stated(config.os(), config.architecture(), config.variant().as_deref());
        match self.inner.host.rank(&built_for) {
            Some(_) => Ok(()),
            None => Err(self.wrong_platform(&[built_for.to_string()])),
        }
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PullError> {
        self.inner
            .destination
            .content
            .put(digest, bytes)
            .map_err(|error| self.store("keep a manifest or config", error))
    }

    fn store(&self, act: &str, error: std::io::Error) -> PullError {
        PullError::store(act, Path::new(&self.inner.root), Arc::new(error))
    }

    fn broken(&self, what: String) -> PullError {
        PullError::Broken {
            image: self.reference.to_string(),
            what,
        }
    }

    fn wrong_platform(&self, offered: &[String]) -> PullError {
        PullError::Platform {
            image: self.reference.to_string(),
            wanted: self.inner.host.clone(),
            offered: if offered.is_empty() {
                "nothing that runs".to_owned()
            } else {
                offered.join(", ")
            },
        }
    }

    fn unusable(&self, session: &Session, error: Unusable) -> PullError {
        match error {
            Unusable::MediaType(media_type) if !media_type.is_empty() => PullError::MediaType {
                image: self.reference.to_string(),
                media_type,
            },
            error => PullError::Garbage {
                registry: session.host().to_owned(),
                what: "image manifest".to_owned(),
                source: Arc::new(error),
            },
        }
    }
}
