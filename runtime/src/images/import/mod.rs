//! Import of archives: what `docker save`, `skopeo copy ... oci-archive:` and `ctr image export` write.
//!
//! ```text
//! stream -> spool (every blob into the content store, small files into memory) -> layout (pure: which images) -> assemble
//! ```
//! Archives name their parts in any order, so a layer can't be unpacked before all has come; it is on disk once, as a blob.

mod layout;
mod spool;

use std::io;
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageConfiguration};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::assemble::{Assembly, Source};
use super::digest::Digest;
use super::error::{PullError, chain};
use super::layer::{ChannelReader, Piece};
use super::manifest::{self, Document, LayerPlan};
use super::platform::Platform;
use super::progress::Board;
use super::{Image, Images};
use layout::{Found, Member};
pub use spool::SpoolError;

const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 16;

/// Why an archive could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive can't be read to its end.
    #[error("the archive can't be read")]
    Read(#[source] io::Error),
    /// It can't be taken apart.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It is a tar archive, but of something else.
    #[error("this is neither a `docker save` archive nor an OCI layout: it has no manifest.json and no index.json")]
    NoImages,
    /// A description in it can't be understood.
    #[error("the archive's {name} can't be understood; write it again with a current tool")]
    Parse {
        /// The file in the archive.
        name: String,
        /// Where it stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// Its parts contradict each other, or some are missing.
    #[error("the archive is broken: {0}")]
    Broken(String),
    /// An image in it can't be made.
    #[error(transparent)]
    Image(#[from] PullError),
}

impl ImportError {
    /// Code and whole chain of causes, for gRPC.
    #[must_use]
    pub fn to_status(&self) -> tonic::Status {
        let code = match self {
            Self::Image(error) => error.code(),
            Self::Spool(error) => error.code(),
            _ => tonic::Code::InvalidArgument,
        };
        tonic::Status::new(code, chain(self))
    }
}

impl Images {
    /// Imports every image of an archive (tar; plain, gzip or zstd) that runs on this machine.
    ///
    /// # Errors
    /// The archive is broken or holds no image for this machine; see [`ImportError`].
    pub async fn import(&self, archive: impl AsyncRead + Send + Unpin) -> Result<Vec<Arc<Image>>, ImportError> {
        self.import_shown_on(&self.inner.board, archive).await
    }

    /// Imports and shows the progress on a board of the caller's own.
    pub(super) async fn import_shown_on(
        &self,
        board: &Arc<Board>,
        archive: impl AsyncRead + Send + Unpin,
    ) -> Result<Vec<Arc<Image>>, ImportError> {
        let busy = self.busy().await;
        let result = self.import_all(board, archive).await;
        drop(busy);
        if result.is_err()
            && let Err(error) = self.collect().await
        {
            // The import's own error is what matters.
            tracing::warn!(error = chain(&error), "collecting what a failed import left stopped");
        }
        result
    }

    async fn import_all(
        &self,
        board: &Arc<Board>,
        archive: impl AsyncRead + Send + Unpin,
    ) -> Result<Vec<Arc<Image>>, ImportError> {
        let spooled = self.spool(archive).await?;
        let found = layout::images(&spooled)?;
        let mut images = Vec::with_capacity(found.len());
        for image in found {
            images.push(self.import_one(board, image).await?);
        }
        Ok(images)
    }

    async fn spool(&self, mut archive: impl AsyncRead + Send + Unpin) -> Result<spool::Spooled, ImportError> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let content = Arc::clone(&self.inner.destination.content);
        let worker = tokio::task::spawn_blocking(move || spool::spool(ChannelReader::new(receiver), &content));
        loop {
            let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
            let count = archive.read_buf(&mut piece).await.map_err(ImportError::Read)?;
            let piece = if count == 0 {
                Piece::End
            } else {
                Piece::Data(piece.freeze())
            };
            // A worker that fails hangs up, and says why itself.
            if sender.send(piece).await.is_err() || count == 0 {
                break;
            }
        }
        let spooled = worker
            .await
            .expect("spooling doesn't panic, and blocking threads are not aborted");
        spooled.map_err(|error| match error {
            SpoolError::Store { name, source } => {
                let act = format!("keep {name} of the archive");
                PullError::store(act, &self.inner.root, Arc::new(source)).into()
            }
            error => error.into(),
        })
    }

    async fn import_one(&self, board: &Arc<Board>, found: Found) -> Result<Arc<Image>, ImportError> {
        let name = found
            .tags
            .first()
            .map_or_else(|| found.member.to_string(), ToString::to_string);
        let tracker = board.track(name.clone());
        let result = self.build(&found, &name, &tracker).await;
        match &result {
            Ok(image) => tracker.done(image.id.to_string()),
            Err(error) => tracker.failed(chain(error)),
        }
        result
    }

    async fn build(
        &self,
        found: &Found,
        name: &str,
        tracker: &super::progress::Tracker,
    ) -> Result<Arc<Image>, ImportError> {
        let (id, plan, config, mut content) = match &found.member {
            Member::Oci(top) => self.oci(top)?,
            Member::Docker { config, layers } => self.docker(config, layers)?,
        };
        let built_for = Platform::stated(config.os(), config.architecture(), config.variant().as_deref());
        if self.inner.host.rank(&built_for).is_none() {
            return Err(ImportError::Image(PullError::Platform {
                image: name.to_owned(),
                wanted: self.inner.host.clone(),
                offered: built_for.to_string(),
            }));
        }
        let assembly = Assembly {
            inner: &self.inner,
            image: name.to_owned(),
            source: Source::Archive,
            tracker,
        };
        assembly.run(&plan).await?;
        let digests = match &found.member {
            Member::Oci(top) => found.tags.iter().map(|tag| format!("{}@{top}", tag.name())).collect(),
            Member::Docker { .. } => Vec::new(),
        };
        let tags: Vec<String> = found
            .tags
            .iter()
            .filter_map(super::reference::Reference::tagged)
            .collect();
        let top = content.first().cloned();
        content.extend(plan.iter().map(|layer| layer.digest.clone()));
        content.push(id.clone());
        let image = Image {
            id,
            targets: top
                .iter()
                .flat_map(|top| tags.iter().map(|tag| (tag.clone(), top.clone())))
                .collect(),
            // An archive without names gives images that are called by their id alone.
            tags,
            digests,
            size_bytes: plan.iter().map(|layer| layer.size_bytes).sum(),
            config,
            chain: plan.into_iter().next_back().map(|layer| layer.chain),
            pinned: false,
            content,
        };
        let added = self.catalogue.add(image);
        added.map_err(|error| PullError::store("record the image", &self.inner.root, Arc::new(error)).into())
    }

    fn oci(&self, top: &Digest) -> Result<Parts, ImportError> {
        let mut content = Vec::new();
        let mut digest = top.clone();
        // As in a registry: an index, perhaps of indexes, down to this machine's manifest.
        for _ in 0..3 {
            let bytes = self.blob(&digest)?;
            let document = manifest::read(&bytes, "").map_err(|error| ImportError::Broken(chain(&error)))?;
            content.push(digest.clone());
            match document {
                Document::Index(manifests) => {
                    let chosen = self
                        .inner
                        .host
                        .choose(&manifests)
                        .map_err(|offered| PullError::Platform {
                            image: top.to_string(),
                            wanted: self.inner.host.clone(),
                            offered: offered.join(", "),
                        })?;
                    digest = digest_of(chosen)?;
                }
                Document::Manifest(manifest) => {
                    let id = digest_of(manifest.config())?;
                    let config = self.config(&id)?;
                    let plan = manifest::plan(manifest.layers(), &config).map_err(ImportError::Broken)?;
                    return Ok((id, plan, config, content));
                }
            }
        }
        Err(ImportError::Broken(
            "its index points at an index, and that at another".to_owned(),
        ))
    }

    /// Docker's old form has no manifest: one is made, so that the image can be listed, exported and pushed as any other.
    fn docker(&self, id: &Digest, layers: &[(Digest, u64)]) -> Result<Parts, ImportError> {
        let config = self.config(id)?;
        let store = |error| PullError::store("keep a manifest", &self.inner.root, Arc::new(error));
        let content = &self.inner.destination.content;
        let config_bytes = content.size(id).map_err(store)?.unwrap_or_default();
        let gzipped = |(digest, size): &(Digest, u64)| {
            let gzipped = content.begins_with(digest, &[0x1f, 0x8b]).map_err(store)?;
            Ok::<_, PullError>((digest.clone(), *size, gzipped))
        };
        let layers = layers.iter().map(gzipped).collect::<Result<Vec<_>, _>>()?;
        let made = manifest::of_docker(id, config_bytes, &layers);
        let digest = Digest::of(&made);
        content.put(&digest, &made).map_err(store)?;
        match manifest::read(&made, "").map_err(|error| ImportError::Broken(chain(&error)))? {
            Document::Manifest(manifest) => {
                let plan = manifest::plan(manifest.layers(), &config).map_err(ImportError::Broken)?;
                Ok((id.clone(), plan, config, vec![digest]))
            }
            Document::Index(_) => unreachable!("a manifest was made"),
        }
    }

    fn config(&self, id: &Digest) -> Result<ImageConfiguration, ImportError> {
        serde_json::from_slice(&self.blob(id)?).map_err(|source| ImportError::Parse {
            name: format!("config {id}"),
            source,
        })
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        let read = self.inner.destination.content.read(digest);
        let read = read.map_err(|error| PullError::store("read a blob", &self.inner.root, Arc::new(error)))?;
        read.ok_or_else(|| ImportError::Broken(format!("{digest} is not in the archive")))
    }
}

type Parts = (Digest, Vec<LayerPlan>, ImageConfiguration, Vec<Digest>);

fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImportError> {
    manifest::digest_of(descriptor).map_err(|error| ImportError::Broken(error.to_string()))
}
