//! Images made in memory.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use crate::images::digest::Digest;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How a layer is packed.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    Plain,
    Gzip,
    /// Two gzip members behind each other, as parallel tools write.
    GzipMembers,
    Zstd,
}

/// An image: blobs by digest, and its manifest.
#[derive(Clone, Default)]
pub(super) struct Sample {
    pub(super) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(super) layers: Vec<Digest>,
    pub(super) diff_ids: Vec<Digest>,
    /// The layers' tar archives, as `docker save` wrote them before it knew OCI.
    pub(super) archives: Vec<Vec<u8>>,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

impl Sample {
    /// An image of layers with one file each: `path`, `content`.
    pub(super) fn new(layers: &[(&str, &str, Packing)]) -> Self {
        let layers: Vec<_> = layers
            .iter()
            .map(|(path, content, packing)| (tar(path, content.as_bytes()), *packing))
            .collect();
        Self::of_archives(layers, "amd64")
    }

    pub(super) fn simple() -> Self {
        Self::new(&[("etc/base", "base", Packing::Gzip), ("etc/top", "top", Packing::Zstd)])
    }

    pub(super) fn of_archives(archives: Vec<(Vec<u8>, Packing)>, architecture: &str) -> Self {
        let mut sample = Self::default();
        for (archive, packing) in archives {
            let blob = pack(&archive, packing);
            sample.diff_ids.push(Digest::of(&archive));
            sample.layers.push(Digest::of(&blob));
            sample.blobs.insert(Digest::of(&blob), blob);
            sample.archives.push(archive);
        }
        sample.config = serde_json::to_vec(&json!({
            "architecture": architecture, "os": "linux",
            "config": {"Cmd": ["/bin/app"], "Env": ["A=b"], "Volumes": null, "OnBuild": null},
            "rootfs": {"type": "layers", "diff_ids": sample.diff_ids},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "a test"}],
        }))
        .expect("JSON");
        let config = sample.config.clone();
        sample.blobs.insert(Digest::of(&config), config);
        sample.manifest = sample.manifest_with(|_| ());
        sample
    }

    /// The manifest, changed.
    pub(super) fn manifest_with(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let layer = |digest: &Digest| {
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest,
                "size": self.blobs[digest].len()})
        };
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.id(), "size": self.config.len()},
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
        });
        change(&mut manifest);
        serde_json::to_vec(&manifest).expect("JSON")
    }

    pub(super) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// An index over images for architectures.
pub(super) fn index(samples: &[(&str, &Sample)]) -> Vec<u8> {
    let manifests: Vec<Value> = samples
        .iter()
        .map(|(architecture, sample)| {
            json!({"mediaType": MANIFEST, "digest": sample.digest(), "size": sample.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture}})
        })
        .collect();
    serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})).expect("JSON")
}

/// A tar archive of one file.
pub(super) fn tar(path: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, path, content).expect("into memory");
    builder.into_inner().expect("into memory")
}

pub(super) fn pack(archive: &[u8], packing: Packing) -> Vec<u8> {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("into memory");
        encoder.finish().expect("into memory")
    };
    match packing {
        Packing::Plain => archive.to_vec(),
        Packing::Gzip => gzip(archive),
        Packing::GzipMembers => [gzip(&archive[..700]), gzip(&archive[700..])].concat(),
        Packing::Zstd => zstd::encode_all(archive, 1).expect("into memory"),
    }
}

/// Bytes that don't compress, the same at each call.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(length)
    .collect()
}
