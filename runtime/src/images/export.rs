//! Archives of images, for other tools and other machines: an OCI layout that is a `docker save` archive as well.
//!
//! What goes in is decided first; a thread then writes it, held back by a bounded channel when the client reads slowly.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::digest::Digest;
use super::error::{PullError, chain};
use super::reference::Reference;
use super::{Image, Images};

/// Pieces between the writing thread and a slow client.
const PIECES: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

/// Why images couldn't be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is nothing of this name.
    #[error("image {0:?}: not found")]
    NotFound(String),
    /// There is no manifest to write.
    #[error("image {0:?} came from an archive without a manifest, to an older version; import it again")]
    NoManifest(String),
    /// The disk refuses.
    #[error("export images")]
    Store(#[source] PullError),
}

impl ExportError {
    /// For gRPC.
    #[must_use]
    pub fn to_status(&self) -> tonic::Status {
        let code = match self {
            Self::NotFound(_) => tonic::Code::NotFound,
            Self::NoManifest(_) => tonic::Code::FailedPrecondition,
            Self::Store(error) => error.code(),
        };
        tonic::Status::new(code, chain(self))
    }
}

/// A file of the archive.
#[derive(Debug)]
enum Member {
    Text(&'static str, Vec<u8>),
    Blob(Digest, PathBuf),
}

/// An archive in the making.
#[derive(Debug, Default)]
struct Archive {
    /// Descriptors of index.json.
    descriptors: Vec<Value>,
    /// Rows of manifest.json.
    rows: Vec<Value>,
    blobs: BTreeSet<Digest>,
}

impl Images {
    /// Writes images into an archive that comes in pieces. Each has the name that it is asked for by; by an id, all that it has.
    ///
    /// # Errors
    /// One isn't here. What fails later is the last piece.
    pub async fn export(&self, names: &[String]) -> Result<mpsc::Receiver<io::Result<Bytes>>, ExportError> {
        // Nothing of them may be collected until all is written.
        let busy = self.busy().await;
        let mut archive = Archive::default();
        for name in names {
            let image = self.find(name).ok_or_else(|| ExportError::NotFound(name.clone()))?;
            self.add(&mut archive, name, &image)?;
        }
        let content = &self.inner.destination.content;
        let members = archive.members(|digest| content.path(digest));
        let (sender, receiver) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write(members, &sender) {
                // A client that went away reads no error either.
                let _ = sender.blocking_send(Err(error));
            }
            drop(busy);
        });
        Ok(receiver)
    }

    fn add(&self, archive: &mut Archive, name: &str, image: &Image) -> Result<(), ExportError> {
        let full = self.full_name(image, name);
        let by_id = name
            .trim_start_matches("sha256:")
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit());
        let tags: Vec<String> = match full.contains('@') {
            _ if by_id && !image.tags.contains(&full) => image.tags.clone(),
            false => vec![full.clone()],
            true => Vec::new(),
        };
        let store = |error| ExportError::Store(PullError::store("read a manifest", &self.inner.root, Arc::new(error)));
        let documents = self.documents(image, &full).map_err(store)?;
        let documents = documents.ok_or_else(|| ExportError::NoManifest(name.to_owned()))?;
        let (digest, media_type, bytes) = &documents.all[0];
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        for tag in &tags {
            let mut named = descriptor.clone();
            let short = tag.rsplit_once(':').map_or("", |(_, short)| short);
            named["annotations"] = json!({"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": short});
            archive.descriptors.push(named);
        }
        if tags.is_empty() {
            let mut named = descriptor;
            named["annotations"] = json!({"io.containerd.image.name": full});
            archive.descriptors.push(named);
        }
        let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let (config, layers) = documents.parts.split_first().expect("every manifest has a config");
        archive.rows.push(json!({
            "Config": path(&config.0),
            "RepoTags": tags.iter().map(|tag| familiar(tag)).collect::<Vec<_>>(),
            "Layers": layers.iter().map(|(digest, ..)| path(digest)).collect::<Vec<_>>(),
        }));
        archive
            .blobs
            .extend(documents.all.iter().map(|(digest, ..)| digest.clone()));
        archive
            .blobs
            .extend(documents.parts.iter().map(|(digest, ..)| digest.clone()));
        Ok(())
    }
}

/// docker writes its own registry's names without the registry.
fn familiar(tag: &str) -> String {
    let reference = tag.parse::<Reference>();
    let of_hub = reference.is_ok_and(|reference| reference.registry() == super::reference::DOCKER_HUB);
    if !of_hub {
        return tag.to_owned();
    }
    let name = tag.trim_start_matches("docker.io/");
    name.trim_start_matches("library/").to_owned()
}

impl Archive {
    /// Small files first, so that who reads knows what comes.
    fn members(self, path: impl Fn(&Digest) -> PathBuf) -> Vec<Member> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": self.descriptors,
        });
        let text = |value: Value| value.to_string().into_bytes();
        let mut members = vec![
            Member::Text("oci-layout", text(json!({"imageLayoutVersion": "1.0.0"}))),
            Member::Text("index.json", text(index)),
            Member::Text("manifest.json", text(Value::from(self.rows))),
        ];
        let blobs = self.blobs.into_iter().map(|digest| {
            let path = path(&digest);
            Member::Blob(digest, path)
        });
        members.extend(blobs);
        members
    }
}

fn write(members: Vec<Member>, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let pieces = Pieces {
        sender,
        piece: Vec::with_capacity(PIECE_BYTES),
    };
    let mut archive = tar::Builder::new(pieces);
    for member in members {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match member {
            Member::Text(name, bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, name, bytes.as_slice())?;
            }
            Member::Blob(digest, path) => {
                let file = File::open(&path)?;
                header.set_size(file.metadata()?.len());
                archive.append_data(&mut header, format!("blobs/sha256/{}", digest.hex()), file)?;
            }
        }
    }
    archive.into_inner()?.flush()
}

/// Gathers what is written into pieces for the channel.
struct Pieces<'a> {
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE_BYTES {
            self.flush()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hubs_names_are_short() {
        for (tag, expected) in [
            ("docker.io/library/nginx:1", "nginx:1"),
            ("docker.io/team/app:2", "team/app:2"),
            ("quay.io/library/app:2", "quay.io/library/app:2"),
        ] {
            assert_eq!(familiar(tag), expected);
        }
    }
}
