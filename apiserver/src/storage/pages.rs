//! Snapshots kept for the next pages of lists that were asked for in pieces, so that all pages show one revision.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::key::Revision;
use super::memory::Snapshot;

/// How many are kept; each costs only what changed since.
const KEPT: usize = 32;
/// How long: a client that takes longer between two pages lists again (as with etcd's compaction).
const AGE: Duration = Duration::from_secs(300);

/// The kept snapshots, oldest first.
#[derive(Default)]
pub(super) struct Pages(Mutex<VecDeque<Page>>);

struct Page {
    resource: Box<str>,
    snapshot: Snapshot,
    since: Instant,
}

impl Pages {
    pub(super) fn keep(&self, resource: &str, snapshot: &Snapshot) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|page| page.since.elapsed() < AGE);
        if pages.iter().any(|page| page.is(resource, snapshot.revision)) {
            return;
        }
        if pages.len() == KEPT {
            pages.pop_front();
        }
        pages.push_back(Page {
            resource: resource.into(),
            snapshot: snapshot.clone(),
            since: Instant::now(),
        });
    }

    pub(super) fn find(&self, resource: &str, revision: Revision) -> Option<Snapshot> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.iter().find(|page| page.is(resource, revision))?;
        Some(page.snapshot.clone())
    }
}

impl Page {
    fn is(&self, resource: &str, revision: Revision) -> bool {
        *self.resource == *resource && self.snapshot.revision == revision
    }
}
