//! The one writer: takes what is queued, decides each compare-and-swap, makes the group durable, publishes, acknowledges.
//!
//! It is a thread of its own because it waits for the disk. Nothing is acknowledged, or can be read, before it is durable;
//! a group that can't be made durable fails as a whole and leaves memory as it was.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use minik_api::object::Object;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::backend::{Backend, BackendError, Entry, Group, Record};
use super::key::{Key, Revision};
use super::memory::{Memory, Published};
use super::stored::{Index, Stored};

/// The most writes that one group takes: bounds how long the first of them waits.
const GROUP: usize = 256;

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing.
    Absent,
    /// The object as it was at this revision.
    At(Revision),
}

/// What a write does.
#[derive(Debug)]
pub(crate) enum Change {
    /// Stores this.
    Put(Box<Object>),
    /// Removes it; this is its last state, as watchers see it.
    Remove(Box<Object>),
}

/// Why a write didn't happen.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// What is stored isn't what was expected: somebody else was quicker.
    #[error("the object was changed in between")]
    Conflict,
    /// The disk refused; nothing is changed.
    #[error("the write was not stored")]
    Backend(#[source] Arc<BackendError>),
    /// The store is shutting down.
    #[error("the store is shutting down")]
    Stopped,
}

/// A queued write.
pub(super) struct Write {
    pub(super) key: Key,
    pub(super) expect: Expect,
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<Arc<Stored>, WriteError>>,
}

/// Starts the writer; it ends when all senders are gone.
pub(super) fn spawn(
    backend: Box<dyn Backend>,
    memory: Arc<Memory>,
    index: Index,
    mut writes: mpsc::Receiver<Write>,
    failed: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let mut writer = Writer {
        backend,
        memory,
        index,
        failed,
    };
    std::thread::Builder::new().name("store-writer".into()).spawn(move || {
        while let Some(first) = writes.blocking_recv() {
            let mut queued = vec![first];
            while queued.len() < GROUP
                && let Ok(write) = writes.try_recv()
            {
                queued.push(write);
            }
            writer.commit(queued);
        }
    })
}

struct Writer {
    backend: Box<dyn Backend>,
    memory: Arc<Memory>,
    index: Index,
    /// Cancelled when the backend can't be used any more.
    failed: CancellationToken,
}

impl Writer {
    fn commit(&mut self, queued: Vec<Write>) {
        let memory = self.memory.clone();
        let mut plan = Plan::new(&memory, self.index);
        let decided: Vec<_> = queued.into_iter().map(|write| plan.decide(write)).collect();
        let failure = match plan.group.entries.as_slice() {
            [] => None,
            _ => self.backend.commit(&plan.group).err().map(Arc::new),
        };
        match &failure {
            None => self.memory.publish(plan.revision, plan.published),
            Some(error) => {
                tracing::error!(error = %chain(&**error), writes = decided.len(), "writes were not stored");
            }
        }
        for (answer, outcome) in decided {
            let outcome = match (&failure, outcome) {
                (Some(error), Ok(_)) => Err(WriteError::Backend(error.clone())),
                (_, outcome) => outcome,
            };
            // A client that went away doesn't want to know.
            let _ = answer.send(outcome);
        }
        if failure.is_some() && !self.backend.is_usable() {
            self.failed.cancel();
        }
    }
}

type Decided = (
    oneshot::Sender<Result<Arc<Stored>, WriteError>>,
    Result<Arc<Stored>, WriteError>,
);

/// A group in the making.
struct Plan<'a> {
    memory: &'a Memory,
    index: Index,
    revision: Revision,
    group: Group,
    published: Vec<Published>,
    /// What earlier writes of this group leave behind.
    pending: HashMap<Key, Option<Arc<Stored>>>,
}

impl<'a> Plan<'a> {
    fn new(memory: &'a Memory, index: Index) -> Self {
        Self {
            memory,
            index,
            revision: memory.revision(),
            group: Group::default(),
            published: Vec::new(),
            pending: HashMap::new(),
        }
    }

    fn decide(&mut self, write: Write) -> Decided {
        let current = match self.pending.get(&write.key) {
            Some(pending) => pending.clone(),
            None => self.memory.get(&write.key),
        };
        let as_expected = match write.expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current.as_ref().is_some_and(|stored| stored.revision == revision),
        };
        if !as_expected {
            return (write.answer, Err(WriteError::Conflict));
        }
        self.revision = self.revision.next();
        self.group.revision = self.revision;
        let (object, removed) = match write.change {
            Change::Put(object) => (object, false),
            Change::Remove(object) => (object, true),
        };
        let stored = Arc::new(Stored::encode(write.key.clone(), self.revision, *object, self.index));
        self.group.entries.push(if removed {
            Entry::Remove(write.key.clone())
        } else {
            Entry::Put(Record {
                key: write.key.clone(),
                revision: self.revision,
                json: stored.json.clone(),
            })
        });
        self.pending.insert(write.key, (!removed).then(|| stored.clone()));
        self.published.push(Published {
            object: stored.clone(),
            previous: current,
            removed,
        });
        (write.answer, Ok(stored))
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
