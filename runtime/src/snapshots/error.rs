//! Why a snapshot could not be had.

use std::io;
use std::path::{Path, PathBuf};

use crate::images::digest::ChainId;
use crate::images::unpack::UnpackError;

/// What failed, on which snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A container of this key has a writable layer already.
    #[error("container {key} already has a writable layer")]
    Taken {
        /// The container.
        key: String,
    },
    /// No container of this key.
    #[error("container {key} has no writable layer here")]
    Unknown {
        /// The container.
        key: String,
    },
    /// The image was removed meanwhile.
    #[error("the image's layer {chain} is not here; pull the image again")]
    NoLayer {
        /// The stack that is missing.
        chain: ChainId,
    },
    /// A layer doesn't fit those below it.
    #[error(transparent)]
    Rebase(#[from] UnpackError),
    /// The file system refused.
    #[error("{act} {path}", path = .path.display())]
    Disk {
        /// What was being done.
        act: &'static str,
        /// On which path.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

/// Names the act and the path beside a refusal of the file system.
pub(super) fn failing<E: Into<io::Error>>(act: &'static str, path: &Path) -> impl FnOnce(E) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Disk {
        act,
        path,
        source: source.into(),
    }
}
