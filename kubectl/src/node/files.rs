//! Writing small files so that a reader never sees half of one: a temporary file beside it, then renamed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a file or directory can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A directory can't be made.
    #[error("cannot create the directory {}", path.display())]
    CreateDirectory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes `dir` and its parents; `mode` is the last one's, parents are readable for all.
pub(super) fn create_dir(dir: &Path, mode: u32) -> Result<(), FileError> {
    let error = |source| FileError::CreateDirectory {
        path: dir.to_owned(),
        source,
    };
    if let Some(parent) = dir.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(error)?;
    }
    match fs::DirBuilder::new().mode(mode).create(dir) {
        Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(mode)).map_err(error),
        Err(already) if already.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(source) => Err(error(source)),
    }
}

/// Whether a file has to be on the disk when its writing returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing can make it anew: it is synced, which costs milliseconds each.
    Kept,
    /// It is computed again when a power cut takes it: whoever reads it treats an empty file as a missing one.
    Remade,
}

/// Replaces `path` by `contents` in one step.
pub(super) fn write(path: &Path, contents: &[u8], mode: u32, durability: Durability) -> Result<(), FileError> {
    let error = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    let temporary = beside(path, &format!(".{}.tmp", std::process::id()));
    let written = write_new(&temporary, contents, mode, durability).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(error)
}

/// As [`write`], but leaves a file alone that says the same already.
pub(super) fn write_if_changed(
    path: &Path,
    contents: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), FileError> {
    match fs::read(path) {
        Ok(present) if present == contents => Ok(()),
        _ => write(path, contents, mode, durability),
    }
}

/// The path with `ending` added to its last part.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write_new(path: &Path, contents: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    // A leftover of a process with our number that died half way is in nobody's use.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(contents)?;
    match durability {
        Durability::Kept => file.sync_all(),
        Durability::Remade => Ok(()),
    }
}
