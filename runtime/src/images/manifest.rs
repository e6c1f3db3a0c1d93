//! Manifests and indexes: which documents a registry may send, and what an image is made of. Pure.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

use super::digest::{ChainId, Digest, InvalidDigest};

/// All kinds this runtime can use, docker's schema 2 beside OCI's: registries send what is accepted.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// What a manifest URL can hold.
#[derive(Debug)]
pub(crate) enum Document {
    /// One image for each platform.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Box<ImageManifest>),
}

/// Why a document can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("not JSON of the announced kind")]
    Parse(#[from] serde_json::Error),
    #[error("media type {0:?}")]
    MediaType(String),
}

/// Reads a document by its own media type, or by the registry's where it has none.
pub(crate) fn read(bytes: &[u8], announced: &str) -> Result<Document, Unusable> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        schema_version: Option<u64>,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(bytes)?;
    if kind.schema_version == Some(1) {
        return Err(Unusable::MediaType(
            "application/vnd.docker.distribution.manifest.v1+json".to_owned(),
        ));
    }
    let announced = if announced.ends_with("+json") { announced } else { "" };
    let media_type = kind.media_type.as_deref().unwrap_or(announced);
    match media_type {
        "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => Ok(
            Document::Index(serde_json::from_slice::<ImageIndex>(bytes)?.manifests().clone()),
        ),
        "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
            Ok(Document::Manifest(serde_json::from_slice(bytes)?))
        }
        // OCI lets both leave the media type out.
        "" if kind.manifests.is_some() => Ok(Document::Index(
            serde_json::from_slice::<ImageIndex>(bytes)?.manifests().clone(),
        )),
        "" if kind.config.is_some() => Ok(Document::Manifest(serde_json::from_slice(bytes)?)),
        other => Err(Unusable::MediaType(other.to_owned())),
    }
}

/// A document's media type: its own, or what it must be.
pub(crate) fn media_type(bytes: &[u8]) -> String {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Kind {
        media_type: String,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(bytes).unwrap_or_default();
    if !kind.media_type.is_empty() {
        return kind.media_type;
    }
    let kind = if kind.manifests.is_some() { "index" } else { "manifest" };
    format!("application/vnd.oci.image.{kind}.v1+json")
}

/// A layer of an image: where it comes from and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerPlan {
    /// Of the blob as it is sent.
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    /// Of the tar archive inside.
    pub(crate) diff_id: Digest,
    pub(crate) chain: ChainId,
    pub(crate) parent: Option<ChainId>,
}

/// Layers, bottom first, from a manifest and its config. `Err` says what contradicts what.
pub(crate) fn plan(layers: &[Descriptor], config: &ImageConfiguration) -> Result<Vec<LayerPlan>, String> {
    let diff_ids: Vec<Digest> = (config.rootfs().diff_ids().iter().map(|id| id.parse()))
        .collect::<Result<_, InvalidDigest>>()
        .map_err(|error| error.to_string())?;
    if diff_ids.len() != layers.len() {
        return Err(format!(
            "its manifest has {} layers and its config {}",
            layers.len(),
            diff_ids.len()
        ));
    }
    let chains = ChainId::stack(&diff_ids);
    let mut plan: Vec<LayerPlan> = Vec::with_capacity(layers.len());
    for ((layer, diff_id), chain) in layers.iter().zip(diff_ids).zip(chains) {
        if layer.media_type().to_string().contains("encrypted") {
            return Err(format!("layer {} is encrypted, which is not supported", layer.digest()));
        }
        plan.push(LayerPlan {
            digest: digest_of(layer).map_err(|error| error.to_string())?,
            size_bytes: layer.size(),
            diff_id,
            parent: plan.last().map(|below| below.chain.clone()),
            chain,
        });
    }
    Ok(plan)
}

/// docker's schema 2 for an image that came without a manifest, as containerd makes it: layers by digest, length and whether
/// they are compressed. The same image always gives the same bytes.
pub(crate) fn of_docker(config: &Digest, config_bytes: u64, layers: &[(Digest, u64, bool)]) -> Vec<u8> {
    const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    let descriptor =
        |kind: &str, digest: &Digest, size: u64| serde_json::json!({"mediaType": kind, "size": size, "digest": digest});
    let layer = |(digest, size, gzipped): &(Digest, u64, bool)| {
        let kind = if *gzipped {
            format!("{LAYER}.gzip")
        } else {
            LAYER.to_owned()
        };
        descriptor(&kind, digest, *size)
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": descriptor("application/vnd.docker.container.image.v1+json", config, config_bytes),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    manifest.to_string().into_bytes()
}

pub(crate) fn digest_of(descriptor: &Descriptor) -> Result<Digest, InvalidDigest> {
    descriptor.digest().to_string().parse()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_told_apart() {
        let descriptor = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": 1,
            "digest": format!("sha256:{}", "0".repeat(64))});
        let manifest = json!({"schemaVersion": 2, "config": descriptor, "layers": []});
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        let read = |value: &serde_json::Value, announced| read(value.to_string().as_bytes(), announced);
        assert!(matches!(read(&manifest, ""), Ok(Document::Manifest(_))));
        assert!(matches!(read(&index, "application/json"), Ok(Document::Index(list)) if list.len() == 1));
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        assert!(matches!(read(&manifest, docker), Ok(Document::Manifest(_))));
        let schema1 = json!({"schemaVersion": 1, "name": "a", "fsLayers": []});
        assert!(matches!(read(&schema1, ""), Err(Unusable::MediaType(kind)) if kind.contains("v1+json")));
        assert!(matches!(read(&json!({"a": 1}), ""), Err(Unusable::MediaType(_))));
        assert!(matches!(super::read(b"<html>", ""), Err(Unusable::Parse(_))));
    }

    #[test]
    fn manifest_and_config_must_agree() {
        let config: ImageConfiguration = serde_json::from_value(json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "1".repeat(64))]}}))
        .expect("a config");
        assert!(
            plan(&[], &config)
                .expect_err("one layer is missing")
                .contains("0 layers")
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes, "");
        }
    }
}
