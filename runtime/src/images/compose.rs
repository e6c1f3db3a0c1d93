//! Images that are made here: a layer from what is written into a tar archive, an image from layers and a config.
//!
//! ```text
//! tar -> diff id -> gzip -> digest -> blob -> unpacked and published as any other layer
//! ```
//! A layer is what its blob unpacks to, so what a build continues on is what everybody gets who pulls the image. The same
//! content gives the same bytes: gzip's header carries no time.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::{ChainId, Digest, Hasher};
use super::error::chain;
use super::layer;
use super::manifest::LayerPlan;
use super::reference::Reference;
use super::{Image, Images};

const GZIPPED: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layer of an image that is made here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: u64,
    /// Of the tar archive inside.
    pub(crate) diff_id: Digest,
}

/// Why a layer or image couldn't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("write the layer")]
    Write(#[source] io::Error),
    #[error("unpack the layer that was written: {0}")]
    Unpack(String),
    #[error("publish the layer")]
    Publish(#[from] crate::snapshots::SnapshotError),
    #[error("record the image")]
    Record(#[source] io::Error),
    #[error("the image's config is none")]
    Config(#[from] serde_json::Error),
    #[error("image {0} has no manifest here; pull it again")]
    NoManifest(String),
}

impl Images {
    /// Makes a layer upon `parent` of what `write` puts into a tar archive, published when this returns; none where `write` says
    /// that there is nothing. Blocks.
    pub(crate) fn add_layer(
        &self,
        parent: Option<&ChainId>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<bool>,
    ) -> Result<Option<Layer>, ComposeError> {
        let destination = &self.inner.destination;
        let ingest = destination.content.begin().map_err(ComposeError::Write)?;
        let mut outer = HashingWriter::new(GzEncoder::new(HashingWriter::new(ingest), Compression::fast()));
        let written = write(&mut outer).and_then(|something| {
            if !something {
                return Ok(None);
            }
            let (gzip, diff) = outer.into_parts();
            let (ingest, blob) = gzip.finish()?.into_parts();
            Ok(Some((ingest, blob, diff)))
        });
        let Some((ingest, blob, diff)) = written.map_err(ComposeError::Write)? else {
            return Ok(None);
        };
        let (size_bytes, digest, diff_id) = (blob.length_bytes(), blob.finish(), diff.finish());
        destination
            .content
            .commit(ingest, &digest)
            .map_err(ComposeError::Write)?;
        let chain_id = ChainId::extend(parent, &diff_id);
        if !destination.snapshots.has(&chain_id) {
            let plan = LayerPlan {
                digest: digest.clone(),
                size_bytes,
                diff_id: diff_id.clone(),
                chain: chain_id.clone(),
                parent: parent.cloned(),
            };
            let ready = layer::unpack_kept(&plan, destination);
            let ready = ready.map_err(|failure| match failure {
                layer::LayerFailure::Unpack(error) => ComposeError::Unpack(chain(&error)),
                other => ComposeError::Unpack(format!("{other:?}")),
            })?;
            let snapshots = &destination.snapshots;
            snapshots.publish(ready.draft, &chain_id, parent, &diff_id, &ready.unpacked)?;
        }
        Ok(Some(Layer {
            digest,
            media_type: GZIPPED.to_owned(),
            size_bytes,
            diff_id,
        }))
    }

    /// Whether a layer and all below it are here, unpacked and as a blob.
    pub(crate) fn has_layer(&self, chain: &ChainId, layer: &Layer) -> bool {
        let destination = &self.inner.destination;
        destination.snapshots.has(chain) && destination.content.has(&layer.digest)
    }

    /// The layers of an image that is here, and its config as it is written. Reads its documents.
    pub(crate) fn parts(&self, image: &Image) -> Result<(Vec<Layer>, Value), ComposeError> {
        let lacking = || ComposeError::NoManifest(image.tags.first().map_or(image.id.to_string(), Clone::clone));
        let name = image.tags.first().or(image.digests.first());
        let id = image.id.to_string();
        let documents = self
            .documents(image, name.unwrap_or(&id))
            .map_err(ComposeError::Record)?;
        let documents = documents.ok_or_else(lacking)?;
        let config = self.inner.destination.content.read(&image.id);
        let config = config.map_err(ComposeError::Record)?.ok_or_else(lacking)?;
        let diff_ids = image.config.rootfs().diff_ids().iter().map(|id| id.parse());
        let layers = documents.parts.into_iter().skip(1).zip(diff_ids);
        let layers = layers.map(|((digest, media_type, size_bytes), diff_id)| {
            let diff_id = diff_id.map_err(|_| lacking())?;
            Ok(Layer {
                digest,
                media_type: media_type.replace(
                    "vnd.docker.image.rootfs.diff.tar.gzip",
                    "vnd.oci.image.layer.v1.tar+gzip",
                ),
                size_bytes,
                diff_id,
            })
        });
        let layers = layers.collect::<Result<_, ComposeError>>()?;
        Ok((layers, serde_json::from_slice(&config)?))
    }

    /// Makes an image of layers that are here, and gives it names. Gives its manifest's digest, too. Blocks.
    pub(crate) fn add_image(
        &self,
        config: &Value,
        layers: &[Layer],
        names: &[Reference],
    ) -> Result<(Arc<Image>, Digest), ComposeError> {
        let content = &self.inner.destination.content;
        let put = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            content
                .put(&digest, bytes)
                .map(|()| digest)
                .map_err(ComposeError::Record)
        };
        let bytes = serde_json::to_vec(config)?;
        let id = put(&bytes)?;
        let descriptor =
            |kind: &str, digest: &Digest, size: u64| json!({"mediaType": kind, "digest": digest, "size": size});
        let described = layers.iter();
        let described = described.map(|layer| descriptor(&layer.media_type, &layer.digest, layer.size_bytes));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &id, bytes.len() as u64),
            "layers": described.collect::<Vec<_>>(),
        });
        let digest = put(&serde_json::to_vec(&manifest)?)?;
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let tags: Vec<String> = names.iter().filter_map(Reference::tagged).collect();
        let mut kept = vec![digest.clone(), id.clone()];
        kept.extend(layers.iter().map(|layer| layer.digest.clone()));
        let config: ImageConfiguration = serde_json::from_slice(&bytes)?;
        let image = Image {
            id,
            targets: tags.iter().map(|tag| (tag.clone(), digest.clone())).collect(),
            tags,
            // An image without a name is called by its id.
            digests: Vec::new(),
            size_bytes: layers.iter().map(|layer| layer.size_bytes).sum::<u64>() + bytes.len() as u64,
            config,
            chain: ChainId::stack(&diff_ids).pop(),
            pinned: false,
            content: kept,
        };
        let image = self.catalogue.add(image).map_err(ComposeError::Record)?;
        Ok((image, digest))
    }
}

/// A writer that hashes what is written through it.
struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
}

impl<W> HashingWriter<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::default(),
        }
    }

    fn into_parts(self) -> (W, Hasher) {
        (self.inner, self.hasher)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
