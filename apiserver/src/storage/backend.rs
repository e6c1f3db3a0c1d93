//! The edge to the disk: what the writer needs of whatever keeps the objects.
//!
//! Small on purpose, so that another log (redb, etcd) can take sled's place; each passes the one behaviour suite in
//! `backend/suite.rs`.

#[cfg(test)]
pub(super) mod suite;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::key::{Key, Revision};

/// One object on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// Where it is.
    pub(crate) key: Key,
    /// When it was last changed.
    pub(crate) revision: Revision,
    /// The whole object.
    pub(crate) json: Bytes,
}

/// One change on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The object is this from now on.
    Put(Record),
    /// The object is gone.
    Remove(Key),
}

/// What becomes durable in one step: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// The newest revision in it, also when that was a removal.
    pub(crate) revision: Revision,
    /// In order; a key may stand in it several times, the last one counts.
    pub(crate) entries: Vec<Entry>,
}

/// All that is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The newest revision that was committed.
    pub(crate) revision: Revision,
    /// Every object, in the order of their keys.
    pub(crate) records: Vec<Record>,
}

/// Keeps groups durably.
pub(crate) trait Backend: Send {
    /// Opens what is there, verifies all of it and returns it. To be called first.
    fn load(&mut self) -> Result<Loaded, BackendError>;

    /// Makes a group durable: when this returns, neither a kill nor a power cut loses it. When it fails, either
    /// nothing of the group was written and it can be tried again later, or the backend isn't usable any more and all of the
    /// group may be there or nothing.
    fn commit(&mut self, group: &Group) -> Result<(), BackendError>;

    /// Whether trying again can help.
    fn is_usable(&self) -> bool;
}

/// What can go wrong at the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// Reading or writing failed.
    #[error("can't {act} {}", path.display())]
    Io {
        /// `open`, `write`, `sync`.
        act: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there isn't what was written.
    #[error("the store at {} is damaged: {what}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found out.
        what: String,
    },
    /// It failed in a way that only a new process gets out of.
    #[error("the store at {} failed and can't be used any more; the API server has to start again", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
    },
}

impl BackendError {
    /// Opening again can't help: the files themselves are wrong.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}
