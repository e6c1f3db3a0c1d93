//! The history of a resource: a bounded ring of events that all its watchers read, each at its own place.
//!
//! Nothing is queued per watcher: one that is slower than the ring finds its place gone ([`Expired`]) and has to list again,
//! and no write ever waits for it. Each event is encoded once, by the first watcher that sends it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::key::Revision;
use super::stored::Stored;

/// Events kept per resource.
const EVENTS: usize = 1024;
/// Bytes of objects kept per resource.
const BYTES: usize = 4 << 20;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// It wasn't there, or wasn't selected.
    Added,
    /// It was there.
    Modified,
    /// It is gone, or no longer selected.
    Deleted,
}

impl EventKind {
    /// As it stands on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    /// What happened.
    pub(crate) kind: EventKind,
    /// The object after it; its last state when it was deleted.
    pub(crate) object: Arc<Stored>,
    /// The object before it.
    pub(crate) previous: Option<Arc<Stored>>,
    line: OnceLock<Bytes>,
}

/// What was asked for is older than what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub(crate) struct Expired {
    /// What was asked for.
    pub(crate) asked: Revision,
    /// The oldest that can be answered.
    pub(crate) oldest: Revision,
}

impl Event {
    /// A change to `object`, which was `previous`.
    pub(crate) fn new(removed: bool, object: Arc<Stored>, previous: Option<Arc<Stored>>) -> Self {
        let kind = match (removed, &previous) {
            (true, _) => EventKind::Deleted,
            (false, None) => EventKind::Added,
            (false, Some(_)) => EventKind::Modified,
        };
        Self {
            kind,
            object,
            previous,
            line: OnceLock::new(),
        }
    }

    /// The event as a line of a watch, shared by all who send it as it is.
    pub(crate) fn line(&self) -> Bytes {
        self.line.get_or_init(|| line(self.kind, &self.object.json)).clone()
    }
}

/// `{"type":"ADDED","object":…}` and a newline.
pub(crate) fn line(kind: EventKind, object: &[u8]) -> Bytes {
    let kind = kind.as_str().as_bytes();
    [&b"{\"type\":\""[..], kind, b"\",\"object\":", object, b"}\n"]
        .concat()
        .into()
}

/// The ring.
#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Everything after this revision is in the ring.
    complete_after: Revision,
}

impl History {
    /// An empty ring: nothing is known of what happened up to `revision`.
    pub(super) fn new(revision: Revision) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            complete_after: revision,
        }
    }

    /// Adds the newest event and forgets the oldest ones if there are too many.
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.object.json.len();
        self.events.push_back(event);
        while self.events.len() > EVENTS || (self.bytes > BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.object.json.len();
            self.complete_after = oldest.object.revision;
        }
    }

    /// The events after `revision`, oldest first.
    pub(super) fn after(&self, revision: Revision) -> Result<impl DoubleEndedIterator<Item = &Arc<Event>>, Expired> {
        if revision < self.complete_after {
            return Err(Expired {
                asked: revision,
                oldest: self.complete_after,
            });
        }
        let start = self.events.partition_point(|event| event.object.revision <= revision);
        Ok(self.events.range(start..))
    }
}
