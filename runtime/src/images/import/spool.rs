//! Takes an archive apart as it comes: every file into the content store under its own digest, the descriptions of what they
//! are into memory. Nothing is written by a name from the archive.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use crate::images::content::Content;
use crate::images::digest::{Digest, Hasher};
use crate::images::layer::decompressed;
use crate::images::unpack::UnpackError;
use crate::images::unpack::archive::{Entries, Kind};

/// Files of an archive: a layer or blob each.
const FILES: usize = 10_000;
/// Bytes of `manifest.json` and `index.json`.
const DESCRIPTION_BYTES: u64 = 16 << 20;

/// Why an archive can't be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Not a tar archive, or one that is cut short.
    #[error("this is no archive of images")]
    Archive(#[source] UnpackError),
    /// It can't be decompressed.
    #[error("the archive can't be decompressed")]
    Decompress(#[source] io::Error),
    /// A limit that keeps hostile archives from exhausting the machine.
    #[error("the archive exceeds the limit for {0}")]
    Limit(&'static str),
    /// A blob that isn't what its name says.
    #[error("the archive is damaged: its file {name} has the digest {actual}")]
    Digest {
        /// In the archive.
        name: String,
        /// Of its content.
        actual: Digest,
    },
    /// The local disk refused.
    #[error("can't keep {name} of the archive")]
    Store {
        /// In the archive.
        name: String,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

impl SpoolError {
    pub(super) fn code(&self) -> tonic::Code {
        match self {
            Self::Store { .. } => tonic::Code::Internal,
            Self::Digest { .. } => tonic::Code::DataLoss,
            _ => tonic::Code::InvalidArgument,
        }
    }
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Spooled {
    /// Digest and length of each file, by its name in the archive.
    pub(super) files: BTreeMap<String, (Digest, u64)>,
    /// Symbolic links, by name: where they lead, relative to the archive.
    pub(super) links: BTreeMap<String, String>,
    /// `manifest.json` and `index.json`.
    pub(super) descriptions: BTreeMap<String, Vec<u8>>,
}

impl Spooled {
    /// A file, perhaps by a link to it.
    pub(super) fn file(&self, name: &str) -> Option<&(Digest, u64)> {
        self.files.get(name).or_else(|| self.files.get(self.links.get(name)?))
    }
}

pub(super) fn spool(input: impl Read, content: &Content) -> Result<Spooled, SpoolError> {
    let reader = decompressed(input).map_err(SpoolError::Decompress)?;
    let mut entries = Entries::new(BufReader::with_capacity(128 << 10, reader));
    let mut spooled = Spooled::default();
    while let Some(entry) = entries.next().map_err(SpoolError::Archive)? {
        let name = String::from_utf8_lossy(&entry.path).trim_start_matches("./").to_owned();
        if spooled.files.len() + spooled.links.len() >= FILES {
            return Err(SpoolError::Limit("the number of files (10,000)"));
        }
        match &entry.kind {
            Kind::File { size_bytes, runs: None } if matches!(name.as_str(), "manifest.json" | "index.json") => {
                if *size_bytes > DESCRIPTION_BYTES {
                    return Err(SpoolError::Limit("the length of a description (16 MiB)"));
                }
                let mut bytes = Vec::new();
                let read = entries.content().read_to_end(&mut bytes);
                read.map_err(|error| SpoolError::Archive(UnpackError::Read(error)))?;
                spooled.descriptions.insert(name, bytes);
            }
            Kind::File { runs: None, .. } => {
                let file = keep(&name, &mut entries.content(), content)?;
                spooled.files.insert(name, file);
            }
            Kind::Symlink | Kind::HardLink => {
                let target = String::from_utf8_lossy(&entry.link).into_owned();
                let target = if entry.kind == Kind::Symlink {
                    beside(&name, &target)
                } else {
                    target
                };
                spooled.links.insert(name, target);
            }
            _ => {}
        }
    }
    entries.finish().map_err(SpoolError::Archive)?;
    Ok(spooled)
}

/// Where a relative link leads, as a name in the archive: only looked up among its files, never on disk.
fn beside(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn keep(name: &str, reader: &mut impl Read, content: &Content) -> Result<(Digest, u64), SpoolError> {
    let store = |source| SpoolError::Store {
        name: name.to_owned(),
        source,
    };
    let mut ingest = content.begin().map_err(store)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(|error| SpoolError::Archive(UnpackError::Read(error)))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        ingest.write_all(&buffer[..count]).map_err(store)?;
    }
    let size_bytes = hasher.length_bytes();
    let digest = hasher.finish();
    if name
        .strip_prefix("blobs/sha256/")
        .is_some_and(|hex| hex != digest.hex())
    {
        return Err(SpoolError::Digest {
            name: name.to_owned(),
            actual: digest,
        });
    }
    content.commit(ingest, &digest).map_err(store)?;
    Ok((digest, size_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_names_in_the_archive() {
        for (name, target, file) in [
            ("a/layer.tar", "../b/layer.tar", "b/layer.tar"),
            ("a", "b", "b"),
            ("a/b", "../../../../etc/passwd", "etc/passwd"),
            ("a/b", "./c", "a/c"),
        ] {
            assert_eq!(beside(name, target), file);
        }
    }
}
