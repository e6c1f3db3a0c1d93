//! What something takes on disk.

use std::fs;
use std::io::{self, ErrorKind};
use std::iter::Sum;
use std::ops::AddAssign;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    /// Measures a directory and all in it, links not followed. What vanishes meanwhile counts nothing, nor does what lies so
    /// deep that no path leads there.
    pub(super) fn of_tree(path: &Path) -> io::Result<Self> {
        let mut usage = Self::default();
        // A container may nest directories deeper than this thread's stack is.
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            match Self::of_one(&path, &mut left) {
                Ok(one) => usage += one,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(usage)
    }

    fn of_one(path: &Path, left: &mut Vec<PathBuf>) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                left.push(entry?.path());
            }
        }
        Ok(Self {
            bytes: metadata.blocks() * 512,
            inodes: 1,
        })
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
