//! The runtime specification: from a CRI container config and an image config to the config.json that is launched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod annotation;

/// Directories of a container's root filesystem: read-only layers and a writable one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, topmost first, absolute.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// overlayfs' own directory, on the same filesystem as `upper`.
    pub work: PathBuf,
}
