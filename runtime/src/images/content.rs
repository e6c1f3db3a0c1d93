//! The content store: manifests, configs and compressed layers, each a file named by its digest.
//!
//! `<root>/blobs/sha256/<hex>` is whole and verified; what is still coming in is `<root>/ingest/<n>` and vanishes with its
//! writer, or at the next start. Compressed layers are kept, so that a damaged snapshot can be unpacked again without a
//! registry, and an image can be pushed on bit by bit as it came.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::digest::Digest;
use crate::snapshots::durable::sync_parent;
use crate::snapshots::trash::Trash;

/// Above what manifests and configs may have, which are all that is read as a whole.
const SMALL_BYTES: u64 = 16 << 20;

#[derive(Debug)]
pub(crate) struct Content {
    blobs: PathBuf,
    ingest: PathBuf,
    trash: Arc<Trash>,
    next: AtomicU64,
}

impl Content {
    /// Opens the store, making it if it is missing, without the remains of a crash.
    pub(crate) fn open(root: &Path, trash: Arc<Trash>) -> io::Result<Self> {
        let (blobs, ingest) = (root.join("blobs/sha256"), root.join("ingest"));
        trash.throw(&ingest)?;
        fs::create_dir_all(&blobs)?;
        fs::create_dir_all(&ingest)?;
        let next = AtomicU64::new(0);
        Ok(Self {
            blobs,
            ingest,
            trash,
            next,
        })
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Length in bytes; none if it isn't here.
    pub(crate) fn size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a blob's first bytes are these.
    pub(crate) fn begins_with(&self, digest: &Digest, bytes: &[u8]) -> io::Result<bool> {
        let mut first = Vec::new();
        File::open(self.path(digest))?
            .take(bytes.len() as u64)
            .read_to_end(&mut first)?;
        Ok(first == bytes)
    }

    /// A small blob, verified again: a damaged disk must not change what runs. A large one is none: a manifest may name a
    /// layer of many gigabytes as its config.
    pub(crate) fn read(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(SMALL_BYTES).read_to_end(&mut bytes)?;
        Ok((Digest::of(&bytes) == *digest).then_some(bytes))
    }

    /// Keeps bytes whose digest is known to be this one.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        if self.read(digest)?.is_some() {
            return Ok(());
        }
        let mut ingest = self.begin()?;
        ingest.write_all(bytes)?;
        self.commit(ingest, digest)
    }

    pub(crate) fn begin(&self) -> io::Result<Ingest> {
        let path = self.ingest.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create(&path)?;
        Ok(Ingest {
            path,
            file,
            committed: false,
        })
    }

    /// Publishes what was written, durably. The caller has compared the digests.
    pub(crate) fn commit(&self, mut ingest: Ingest, digest: &Digest) -> io::Result<()> {
        let path = self.path(digest);
        ingest.file.sync_all()?;
        fs::rename(&ingest.path, &path)?;
        ingest.committed = true;
        sync_parent(&path)
    }

    /// Bytes and number of all blobs.
    pub(crate) fn usage(&self) -> io::Result<(u64, u64)> {
        let mut usage = (0, 0);
        for entry in fs::read_dir(&self.blobs)? {
            usage.0 += entry?.metadata()?.len();
            usage.1 += 1;
        }
        Ok(usage)
    }

    /// Removes every blob that isn't needed and is at least so old.
    pub(crate) fn retain(&self, needed: &HashSet<Digest>, age: Duration) -> io::Result<()> {
        let needed: HashSet<&str> = needed.iter().map(Digest::hex).collect();
        for entry in fs::read_dir(&self.blobs)? {
            let entry = entry?;
            let unneeded = entry.file_name().to_str().is_none_or(|name| !needed.contains(name));
            if unneeded && is_older(&entry.path(), age) {
                self.trash.throw(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Whether a file was last changed so long ago. Of one that can't be asked, or is of the future, nothing is known: it is old.
pub(crate) fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|modified| modified.elapsed().ok());
    since.is_none_or(|since| since >= age)
}

/// A blob that is coming in. Dropped without `Content::commit`, it vanishes.
pub(crate) struct Ingest {
    path: PathBuf,
    file: File,
    committed: bool,
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.committed {
            // What stays is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}
