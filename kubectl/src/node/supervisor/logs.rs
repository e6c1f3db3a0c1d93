//! A program's log: a file that is renamed when it has grown, so that all of them together stay small.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::node::files::beside;

/// A file is closed and renamed to `.1` when it has reached this; the older `.1` goes.
const SIZE_MAX_BYTES: u64 = 8 << 20;

/// An open log.
#[derive(Debug)]
pub(in crate::node) struct Log {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    size_max_bytes: u64,
}

impl Log {
    /// Continues the log at `path`.
    pub(in crate::node) fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, SIZE_MAX_BYTES)
    }

    fn open_bounded(path: &Path, size_max_bytes: u64) -> io::Result<Self> {
        let file = append(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size_bytes,
            size_max_bytes,
        })
    }

    /// Adds `chunk`, in a new file if this one is full. A chunk stays whole.
    pub(super) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.size_bytes > 0 && self.size_bytes + chunk.len() as u64 > self.size_max_bytes {
            fs::rename(&self.path, beside(&self.path, ".1"))?;
            self.file = append(&self.path)?;
            self.size_bytes = 0;
        }
        self.file.write_all(chunk)?;
        self.size_bytes += chunk.len() as u64;
        Ok(())
    }

    /// The file itself, for a process that writes on its own; full logs are put aside first.
    pub(in crate::node) fn into_file(mut self) -> io::Result<File> {
        if self.size_bytes >= self.size_max_bytes / 2 {
            self.size_bytes = self.size_max_bytes;
            self.write(b"\n")?;
        }
        Ok(self.file)
    }
}

fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_bounded_size_hold_the_newest_lines() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("kubelet.log");
        let mut log = Log::open_bounded(&path, 100).expect("writable");
        for number in 0..50 {
            log.write(format!("line {number:04}\n").as_bytes()).expect("writable");
        }
        drop(log);
        let newest = fs::read_to_string(&path).expect("readable");
        let older = fs::read_to_string(beside(&path, ".1")).expect("readable");
        assert!(newest.len() <= 100 && older.len() <= 100);
        assert!(newest.ends_with("line 0049\n"));
        assert!(older.len() + newest.len() >= 100, "full lines before the turn are kept");
        let mut again = Log::open_bounded(&path, 100).expect("writable");
        again.write(b"later\n").expect("writable");
        assert!(fs::read_to_string(&path).expect("readable").contains("later"));
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2);
    }
}
