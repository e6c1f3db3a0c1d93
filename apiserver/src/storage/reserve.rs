//! Space on the disk, taken before sled writes.
//!
//! sled 0.34 doesn't survive a failed write: its handle hangs when it is dropped. So a full disk has to be noticed before sled
//! writes anything: blocks are allocated beyond the end of its log (fallocate(2), FALLOC_FL_KEEP_SIZE), and what goes into
//! files of their own needs plenty of free space.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;

/// sled writes whole segments of 512 KiB, and may clean some up on the way.
const AHEAD: u64 = 2 << 20;
/// Allocated at once, so that most commits find enough.
const STEP: u64 = 2 << 20;
/// Values above this may become files of their own.
const LARGE: usize = 64 << 10;
/// Has to be free, besides what is written, before large values are.
const FREE: u64 = 8 << 20;

/// The blocks beyond the end of a log.
#[derive(Default)]
pub(super) struct Reserve {
    size: u64,
    allocated_to: u64,
}

impl Reserve {
    /// Makes sure that values of these sizes can be written to the log or beside it.
    pub(super) fn take(&mut self, log: &File, sizes: impl Iterator<Item = usize>) -> io::Result<()> {
        let (mut total, mut large) = (0, 0);
        for size in sizes {
            // Twice: a page is written anew with everything on it.
            total += 2 * size as u64;
            large += if size > LARGE { 2 * size as u64 } else { 0 };
        }
        if large > 0 {
            let free = fstatvfs(log)?;
            let free = free.blocks_available() * free.fragment_size();
            if free < large + FREE {
                return Err(Errno::ENOSPC.into());
            }
        }
        let size = log.metadata()?.len();
        if size < self.size {
            // Cut off at its end, and what was allocated behind with it.
            self.allocated_to = size;
        }
        self.size = size;
        let needed = size + total + AHEAD;
        if self.allocated_to >= needed {
            return Ok(());
        }
        let length = needed - size + STEP;
        let offset = |number: u64| i64::try_from(number).map_err(|_| io::Error::from(Errno::EFBIG));
        match fallocate(log, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset(size)?, offset(length)?) {
            Ok(()) => self.allocated_to = size + length,
            // Some file systems can't; then only a disk that fills up within a write is a danger.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
