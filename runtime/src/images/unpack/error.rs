//! What can be wrong with a layer, or happen while it is written down.

use std::io;

/// Why a layer could not be unpacked. Paths are those inside the layer.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream broke off or could not be decompressed.
    #[error("the layer can't be read")]
    Read(#[source] io::Error),
    /// The tar format is violated.
    #[error("the layer is no valid tar archive: {what} in the entry after {after:?}")]
    Format {
        /// Which field or rule.
        what: &'static str,
        /// Path of the last good entry.
        after: String,
    },
    /// An entry would leave the layer's root.
    #[error(
        "the layer's entry {path:?} leads out of its root; the image is broken or hostile, and nothing of it is kept"
    )]
    Escapes {
        /// As the archive has it.
        path: String,
    },
    /// A limit of this runtime, which keeps hostile layers from exhausting the machine.
    #[error("the layer's entry {path:?} exceeds the limit for {limit}")]
    Limit {
        /// Which limit.
        limit: &'static str,
        /// The entry.
        path: String,
    },
    /// An entry type that a layer can't have.
    #[error("the layer's entry {path:?} is of type {kind:?}, which image layers don't have")]
    Kind {
        /// The tar type flag.
        kind: char,
        /// The entry.
        path: String,
    },
    /// A parent of an entry is a file.
    #[error("the layer's entry {path:?} lies beneath something that is no directory")]
    ParentIsNoDirectory {
        /// The entry.
        path: String,
    },
    /// A hard link whose target is in no layer.
    #[error("the layer's hard link {path:?} has no target: neither this layer nor one below has {target:?}")]
    LinkWithoutTarget {
        /// The link.
        path: String,
        /// What it names.
        target: String,
    },
    /// The file system refused.
    #[error("{act} {path:?}")]
    Apply {
        /// What was being done.
        act: &'static str,
        /// On which entry.
        path: String,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

/// Bytes of a path as people read them.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Names the act and the entry beside a refusal of the file system.
pub(super) fn applying<E: Into<io::Error>>(act: &'static str, path: &[u8]) -> impl FnOnce(E) -> UnpackError {
    let path = shown(path);
    move |source| UnpackError::Apply {
        act,
        path,
        source: source.into(),
    }
}
