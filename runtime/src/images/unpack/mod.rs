//! Unpacks one layer into a directory of its own, as overlayfs wants a lower directory to be.
//!
//! ```text
//! decompressed stream -> entries (headers, PAX, sparse maps) -> path (plain names) -> apply -> root (beneath, no links out)
//! ```
//! A layer is unpacked without its parents, so that all layers of an image are unpacked at the same time. What depends on
//! them is handed back in `Unpacked`: directories that have no entry of their own, and hard links to files of lower layers.
//! Whiteouts become character devices 0:0 and opaque directories `trusted.overlay.opaque`. Runs on a blocking thread; the
//! caller compares digests and throws the directory away if anything fails.

mod apply;
mod entries;
mod error;
mod limits;
mod path;
mod pax;
mod root;
#[cfg(test)]
mod tests;

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

pub use error::UnpackError;

/// The walk over a tar stream, which image archives are read with too.
pub(super) mod archive {
    pub(in crate::images) use super::entries::{Entries, Kind};
}

use apply::Applier;
use entries::Entries;

/// What came out of a layer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Bytes of file contents.
    pub(crate) bytes: u64,
    /// Names created.
    pub(crate) inodes: u64,
    /// Directories without an entry of their own, top-down: they take owner, mode and times from the layers below.
    pub(crate) implicit: Vec<PathBuf>,
    /// Hard links that could not be made because their target is in a layer below.
    pub(crate) links_below: Vec<LinkBelow>,
}

/// A hard link to a file of a lower layer. Both paths are relative to the root and have plain names only.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LinkBelow {
    pub(crate) link: PathBuf,
    pub(crate) target: PathBuf,
}

/// Reads a tar stream to its end and writes it down under `root`, an existing directory. Gives the reader back, so that the
/// caller's hashing sees its end.
pub(crate) fn unpack<R: Read>(reader: R, root: &Path) -> Result<(Unpacked, R), UnpackError> {
    // Headers are read in blocks of 512 bytes; the layers of readers below would do their work for each of them.
    let mut entries = Entries::new(BufReader::with_capacity(128 * 1024, Bounded::new(reader)));
    let mut applier = Applier::new(root)?;
    while let Some(entry) = entries.next()? {
        applier.apply(&entry, &mut entries.content())?;
    }
    let unpacked = applier.finish()?;
    Ok((unpacked, entries.finish()?.into_inner().inner))
}

/// Ends a decompression bomb.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            left: limits::LAYER_BYTES,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 128 GiB unpacked")
        })?;
        Ok(count)
    }
}
