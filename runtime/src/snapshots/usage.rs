//! What something takes on disk.

use std::fs;
use std::io;
use std::iter::Sum;
use std::ops::AddAssign;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Bytes and inodes, as the CRI reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files, directories and whatever else has a name.
    pub inodes: u64,
}

impl Usage {
    /// Measures a directory and all in it, links not followed. What vanishes meanwhile counts nothing.
    pub(super) fn of_tree(path: &Path) -> io::Result<Self> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut usage = Self {
            bytes: metadata.blocks() * 512,
            inodes: 1,
        };
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                usage += Self::of_tree(&entry?.path())?;
            }
        }
        Ok(usage)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |mut sum, usage| {
            sum += usage;
            sum
        })
    }
}
