//! Space on the disk, taken before sled writes.
//!
//! sled 0.34 doesn't survive a failed write: its handle hangs when it is dropped. So a full disk has to be noticed before sled
//! writes anything: blocks are allocated beyond the end of its log (fallocate(2), FALLOC_FL_KEEP_SIZE), and some more have to
//! be free for files of their own.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;

/// sled writes whole segments of 512 KiB, and may clean some up on the way.
const AHEAD: u64 = 2 << 20;
/// Allocated at once, so that most commits find enough.
const STEP: u64 = 2 << 20;
/// Has to be free besides: large values, and pages with many, become files of their own.
const FREE: u64 = 4 << 20;

/// The blocks beyond the end of a log.
#[derive(Default)]
pub(super) struct Reserve {
    size: u64,
    blocks: u64,
    allocated_to: u64,
}

impl Reserve {
    /// Makes sure that values of these sizes can be written to the log or beside it.
    pub(super) fn take(&mut self, log: &File, sizes: impl Iterator<Item = usize>) -> io::Result<()> {
        // Twice: a page is written anew with everything on it.
        let total: u64 = sizes.map(|size| 2 * size as u64).sum();
        let free = fstatvfs(log)?;
        if free.blocks_available() * free.fragment_size() < total + FREE {
            return Err(Errno::ENOSPC.into());
        }
        let now = log.metadata()?;
        if now.len() < self.size || now.blocks() < self.blocks {
            // It was cut off at its end, and what was allocated behind with it.
            self.allocated_to = now.len();
        }
        self.allocate(log, now.len(), now.len() + total + AHEAD)?;
        let then = log.metadata()?;
        (self.size, self.blocks) = (then.len(), then.blocks());
        Ok(())
    }

    fn allocate(&mut self, log: &File, from: u64, to: u64) -> io::Result<()> {
        if self.allocated_to >= to {
            return Ok(());
        }
        let number = |number: u64| i64::try_from(number).map_err(|_| io::Error::from(Errno::EFBIG));
        let (offset, length) = (number(from)?, number(to - from + STEP)?);
        match fallocate(log, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Ok(()) => self.allocated_to = to + STEP,
            // Some file systems can't; then only a disk that fills up within a write is a danger.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
