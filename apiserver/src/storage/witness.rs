//! The witness: a small file that says up to which revision writes were acknowledged.
//!
//! A log that lost its tail looks whole, only older: no checksum inside it can tell. So after each durable commit its revision
//! is written here, without waiting for the disk: a kill keeps it, and a power cut can only leave an older one, never a newer
//! one than the log holds. A log older than its witness has lost acknowledged writes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::key::Revision;

const LENGTH: usize = 12;

/// The open file.
pub(super) struct Witness(File);

impl Witness {
    /// Opens or creates it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map(Self)
    }

    /// The revision that stands there; `None` when the file is new or itself damaged, and so says nothing.
    pub(super) fn read(&self) -> io::Result<Option<Revision>> {
        let mut bytes = [0; LENGTH];
        let length = self.0.read_at(&mut bytes, 0)?;
        let (revision, checksum) = bytes.split_at(8);
        let whole = length == LENGTH && checksum == crc32fast::hash(revision).to_le_bytes();
        let revision = revision
            .try_into()
            .map(u64::from_le_bytes)
            .expect("split at eight bytes");
        Ok(whole.then_some(Revision(revision)))
    }

    /// Says that everything up to `revision` is durable.
    pub(super) fn write(&self, revision: Revision) -> io::Result<()> {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&revision.0.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..8]);
        bytes[8..].copy_from_slice(&checksum.to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}
