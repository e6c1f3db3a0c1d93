//! The store: every object in memory, a durable log behind it, one writer.
//!
//! ```text
//!  registry -- Write --> queue --> writer thread: take what is queued, check each compare-and-swap, assign revisions,
//!     ^                               |           commit the group to the backend (durable), publish, acknowledge
//!     |                               v
//!     +---- get, snapshot ------- memory: ordered maps of encoded objects, a ring of events per resource ----> watches
//! ```
//! Reads never touch the disk, and see only what is durable. The store knows no kinds: a key is text, an object is JSON with
//! metadata; what can be selected on is given to it as a function ([`Index`]).

mod backend;
mod history;
mod key;
mod memory;
mod pages;
mod recovery;
mod reserve;
mod sled;
mod snapshot;
mod stored;
mod witness;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use history::{Event, EventKind, Expired, line};
pub(crate) use key::{Key, Revision};
pub(crate) use memory::Snapshot;
pub(crate) use recovery::OpenError;
pub(crate) use stored::{Index, Stored};
pub(crate) use writer::{Change, Expect, WriteError, chain};

use memory::Memory;
use pages::Pages;
use writer::Write;

/// How many writes may wait; who comes after waits for a place.
const QUEUE: usize = 1024;

/// The handle that everything else holds.
#[derive(Clone)]
pub(crate) struct Store {
    memory: Arc<Memory>,
    pages: Arc<Pages>,
    queue: mpsc::Sender<Write>,
}

/// The writer's thread, joined at shutdown so that the last group and the snapshot are on disk.
pub(crate) struct Writer {
    thread: std::thread::JoinHandle<()>,
    failed: CancellationToken,
}

impl Store {
    /// Opens the store below `directory`, sets a damaged one aside, and starts the writer.
    pub(crate) fn open(directory: &Path, index: Index) -> Result<(Self, Writer), OpenError> {
        let opened = recovery::open(directory)?;
        Self::start(opened.backend, opened.loaded, index)
    }

    /// Starts on what a backend holds.
    fn start(
        backend: Box<dyn backend::Backend>,
        loaded: backend::Loaded,
        index: Index,
    ) -> Result<(Self, Writer), OpenError> {
        let memory = Arc::new(Memory::new(loaded, index).map_err(OpenError::Decode)?);
        let (queue, writes) = mpsc::channel(QUEUE);
        let failed = CancellationToken::new();
        let thread = writer::spawn(backend, memory.clone(), index, writes, failed.clone());
        let thread = thread.map_err(OpenError::Thread)?;
        let pages = Arc::default();
        Ok((Self { memory, pages, queue }, Writer { thread, failed }))
    }

    /// The object at `key`, encoded.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.memory.get(key)
    }

    /// All objects of a resource as they are now, at one revision.
    pub(crate) fn snapshot(&self, resource: &str) -> Snapshot {
        self.memory.snapshot(resource)
    }

    /// All objects of a resource as they were at `revision`, if that is still known.
    pub(crate) fn snapshot_at(&self, resource: &str, revision: Revision) -> Result<Snapshot, Expired> {
        match self.pages.find(resource, revision) {
            Some(snapshot) => Ok(snapshot),
            None => self.memory.snapshot_at(resource, revision),
        }
    }

    /// Keeps a snapshot for the next pages of a list, for a while.
    pub(crate) fn keep(&self, resource: &str, snapshot: &Snapshot) {
        self.pages.keep(resource, snapshot);
    }

    /// The events of a resource after `revision`, oldest first, and the revision up to which that is all.
    pub(crate) fn events(&self, resource: &str, after: Revision) -> Result<(Vec<Arc<Event>>, Revision), Expired> {
        self.memory.events(resource, after)
    }

    /// Told whenever a resource changes; carries the revision.
    pub(crate) fn subscribe(&self, resource: &str) -> watch::Receiver<Revision> {
        self.memory.subscribe(resource)
    }

    /// The newest revision that can be read.
    pub(crate) fn revision(&self) -> Revision {
        self.memory.revision()
    }

    /// Waits until this revision can be read.
    pub(crate) async fn reached(&self, revision: Revision) {
        self.memory.reached(revision).await;
    }

    /// Writes everything to a snapshot file below the directory that the store was opened in; returns its path. Takes as long
    /// as the disk does.
    pub(crate) fn write_snapshot(&self, directory: &Path) -> io::Result<PathBuf> {
        snapshot::write(
            &recovery::snapshots_of(directory),
            &self.memory.everything(),
            Timestamp::now(),
        )
    }

    /// Writes one object if what is stored is what the caller expects; returns when it is on disk and can be read. The
    /// answer to a removal is the object's last state, at the revision of the removal.
    pub(crate) async fn write(&self, key: Key, expect: Expect, change: Change) -> Result<Arc<Stored>, WriteError> {
        let (answer, answered) = oneshot::channel();
        let write = Write {
            key,
            expect,
            change,
            answer,
        };
        self.queue.send(write).await.map_err(|_| WriteError::Stopped)?;
        answered.await.map_err(|_| WriteError::Stopped)?
    }
}

impl Writer {
    /// Waits until the last write is done and the last snapshot is written; every [`Store`] has to be dropped before.
    pub(crate) async fn join(self) {
        // A writer that panicked has told so on stderr; there is nothing more to do here.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }

    /// Done when the store can't be written to any more in this process.
    pub(crate) async fn failed(&self) {
        self.failed.cancelled().await;
    }
}
