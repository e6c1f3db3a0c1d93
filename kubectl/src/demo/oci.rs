//! An image archive in OCI layout (image-spec, image-layout.md): one layer, its config, a manifest and an index, in a tar.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Copies what is written, counting and hashing it.
pub struct Hashing<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

/// What a blob is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Sixty-four hex digits of SHA-256.
    pub hex: String,
    /// Its size in bytes.
    pub length: u64,
}

impl<W: Write> Hashing<W> {
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            length: 0,
        }
    }

    /// What was written.
    ///
    /// # Errors
    /// Those of flushing.
    pub fn finish(mut self) -> io::Result<Descriptor> {
        self.inner.flush()?;
        Ok(Descriptor {
            hex: hex(&self.hash.finalize()),
            length: self.length,
        })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Descriptor {
    fn of(bytes: &[u8]) -> Self {
        Self {
            hex: hex(&Sha256::digest(bytes)),
            length: bytes.len() as u64,
        }
    }

    fn json(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.hex), "size": self.length})
    }
}

/// Writes the archive of an image called `reference`, whose only layer is an uncompressed tar.
///
/// # Errors
/// Those of reading the layer and writing the archive.
pub fn write(archive: &Path, reference: &str, config: &Value, layer: &Path, layer_is: &Descriptor) -> io::Result<()> {
    let mut config = config.clone();
    config["architecture"] = json!(architecture());
    config["os"] = json!("linux");
    config["rootfs"] = json!({"type": "layers", "diff_ids": [format!("sha256:{}", layer_is.hex)]});
    let config = config.to_string();
    let config_is = Descriptor::of(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_is.json("application/vnd.oci.image.config.v1+json"),
        "layers": [layer_is.json("application/vnd.oci.image.layer.v1.tar")],
    })
    .to_string();
    let manifest_is = Descriptor::of(manifest.as_bytes());
    let mut entry = manifest_is.json("application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] =
        json!({"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let mut tar = tar::Builder::new(BufWriter::new(File::create(archive)?));
    let blob = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.hex);
    file(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    file(&mut tar, "index.json", index.to_string().as_bytes())?;
    file(&mut tar, &blob(&manifest_is), manifest.as_bytes())?;
    file(&mut tar, &blob(&config_is), config.as_bytes())?;
    append(&mut tar, &blob(layer_is), layer_is.length, File::open(layer)?)?;
    tar.into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

fn file(tar: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    append(tar, path, bytes.len() as u64, bytes)
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, length: u64, from: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, from)
}

/// Go's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn everything_in_the_archive_is_found_by_its_digest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layer = folder.path().join("layer");
        let mut hashing = Hashing::new(File::create(&layer).expect("made"));
        hashing.write_all(b"layer").expect("written");
        let descriptor = hashing.finish().expect("flushed");
        let archive = folder.path().join("a.tar");
        write(
            &archive,
            "docker.io/library/a:b",
            &json!({"config": {"Cmd": ["x"]}}),
            &layer,
            &descriptor,
        )
        .expect("written");

        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&archive).expect("there"))
            .entries()
            .expect("a tar")
        {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("readable");
            files.insert(path, bytes);
        }
        let blob = |digest: &Value| {
            let hex_digits = digest
                .as_str()
                .and_then(|d| d.strip_prefix("sha256:"))
                .expect("a digest");
            let bytes = &files[&format!("blobs/sha256/{hex_digits}")];
            assert_eq!(hex(&Sha256::digest(bytes)), hex_digits);
            bytes
        };
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
        let index = read(&files["index.json"]);
        assert_eq!(
            index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
            "docker.io/library/a:b"
        );
        let manifest = read(blob(&index["manifests"][0]["digest"]));
        let config = read(blob(&manifest["config"]["digest"]));
        assert_eq!(config["config"]["Cmd"], json!(["x"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(blob(&manifest["layers"][0]["digest"]), b"layer");
    }
}
