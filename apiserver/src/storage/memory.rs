//! What is readable: all objects and the newest events, as of the last durable group.
//!
//! The lock is held for pointer work only: a reader takes a snapshot (one pointer) and is gone, the writer swaps a group in.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rpds::RedBlackTreeMapSync;
use tokio::sync::watch;

use super::backend::{Loaded, Record};
use super::history::{Event, Expired, History};
use super::key::{Key, Revision, prefix};
use super::stored::{Index, Stored};

/// The objects of a resource at one revision. Cloning it costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Of everything, not just of this resource.
    pub(crate) revision: Revision,
    objects: Objects,
}

impl Snapshot {
    /// The objects in a namespace, or in all if it is empty, in the order of their keys, beginning after `after`.
    pub(crate) fn objects<'a>(
        &'a self,
        resource: &str,
        namespace: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
        let prefix = prefix(resource, namespace);
        let start = match after {
            Some(after) if *after >= *prefix => Bound::Excluded(Key::bound(after)),
            _ => Bound::Included(Key::bound(&prefix)),
        };
        let range = self.objects.by_key.range::<Key, _>((start, Bound::Unbounded));
        range
            .map(|(_, stored)| stored)
            .take_while(move |stored| stored.key.as_str().starts_with(&prefix))
    }

    /// How many are in a namespace, or in all if it is empty, without a look at them.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        match namespace {
            "" => self.objects.by_key.size(),
            _ => self.objects.counts.get(namespace).copied().unwrap_or_default(),
        }
    }
}

/// The objects of a resource, and how many of them are in each namespace.
#[derive(Clone, Debug)]
struct Objects {
    by_key: RedBlackTreeMapSync<Key, Arc<Stored>>,
    counts: RedBlackTreeMapSync<Box<str>, usize>,
}

impl Objects {
    fn new() -> Self {
        Self {
            by_key: RedBlackTreeMapSync::new_sync(),
            counts: RedBlackTreeMapSync::new_sync(),
        }
    }

    fn put(&mut self, stored: Arc<Stored>) {
        let before = self.by_key.size();
        let key = stored.key.clone();
        self.by_key.insert_mut(key.clone(), stored);
        if self.by_key.size() > before {
            let count = self.counts.get(key.namespace()).copied().unwrap_or_default();
            self.counts.insert_mut(key.namespace().into(), count + 1);
        }
    }

    fn remove(&mut self, key: &Key) {
        if !self.by_key.remove_mut(key) {
            return;
        }
        match self.counts.get(key.namespace()).copied() {
            Some(count @ 2..) => self.counts.insert_mut(key.namespace().into(), count - 1),
            _ => {
                self.counts.remove_mut(key.namespace());
            }
        }
    }
}

/// A change that is durable and is to be seen now.
pub(super) struct Published {
    pub(super) object: Arc<Stored>,
    pub(super) previous: Option<Arc<Stored>>,
    pub(super) removed: bool,
}

/// Everything that is readable.
pub(super) struct Memory {
    state: RwLock<State>,
    /// Told whenever anything changes.
    newest: watch::Sender<Revision>,
}

struct State {
    revision: Revision,
    /// What was on disk at the start: a resource without a table has no history before this.
    loaded: Revision,
    tables: HashMap<Box<str>, Table>,
}

struct Table {
    objects: Objects,
    history: History,
    changed: watch::Sender<Revision>,
}

impl Table {
    fn new(revision: Revision) -> Self {
        Self {
            objects: Objects::new(),
            history: History::new(revision),
            changed: watch::Sender::new(revision),
        }
    }
}

impl State {
    fn table(&mut self, resource: &str) -> &mut Table {
        let loaded = self.loaded;
        // Looked up twice only the first time: `entry` would need an owned key each time.
        if !self.tables.contains_key(resource) {
            self.tables.insert(resource.into(), Table::new(loaded));
        }
        self.tables.get_mut(resource).expect("put there above")
    }
}

impl Memory {
    /// Takes what is on disk.
    pub(super) fn new(loaded: Loaded, index: Index) -> Result<Self, serde_json::Error> {
        let mut state = State {
            revision: loaded.revision,
            loaded: loaded.revision,
            tables: HashMap::new(),
        };
        for Record { key, revision, json } in loaded.records {
            let stored = Stored::decode(key.clone(), revision, json, index)?;
            state.table(key.resource()).objects.put(Arc::new(stored));
        }
        Ok(Self {
            newest: watch::Sender::new(state.revision),
            state: RwLock::new(state),
        })
    }

    pub(super) fn revision(&self) -> Revision {
        self.read().revision
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.read().tables.get(key.resource())?.objects.by_key.get(key).cloned()
    }

    pub(super) fn snapshot(&self, resource: &str) -> Snapshot {
        let state = self.read();
        let objects = state.tables.get(resource).map(|table| table.objects.clone());
        Snapshot {
            revision: state.revision,
            objects: objects.unwrap_or_else(Objects::new),
        }
    }

    /// Undoes the events after `revision`; the ring has what each object was before.
    pub(super) fn snapshot_at(&self, resource: &str, revision: Revision) -> Result<Snapshot, Expired> {
        let mut snapshot = self.snapshot(resource);
        let state = self.read();
        let Some(table) = state.tables.get(resource) else {
            return match revision < state.loaded {
                true => Err(Expired {
                    asked: revision,
                    oldest: state.loaded,
                }),
                false => Ok(Snapshot { revision, ..snapshot }),
            };
        };
        snapshot.objects = table.objects.clone();
        for event in table.history.after(revision)?.rev() {
            match &event.previous {
                Some(previous) => snapshot.objects.put(previous.clone()),
                None => snapshot.objects.remove(&event.object.key),
            }
        }
        snapshot.revision = revision;
        Ok(snapshot)
    }

    /// Every object of every resource.
    pub(super) fn everything(&self) -> Loaded {
        let state = self.read();
        let revision = state.revision;
        let tables: Vec<_> = state
            .tables
            .values()
            .map(|table| table.objects.by_key.clone())
            .collect();
        drop(state);
        let record = |stored: &Arc<Stored>| Record {
            key: stored.key.clone(),
            revision: stored.revision,
            json: stored.json.clone(),
        };
        let mut records: Vec<Record> = tables.iter().flat_map(|table| table.values().map(record)).collect();
        records.sort_by(|a, b| a.key.cmp(&b.key));
        Loaded { revision, records }
    }

    pub(super) fn events(&self, resource: &str, after: Revision) -> Result<(Vec<Arc<Event>>, Revision), Expired> {
        let state = self.read();
        let events = match state.tables.get(resource) {
            Some(table) => table.history.after(after)?.cloned().collect(),
            None if after < state.loaded => {
                return Err(Expired {
                    asked: after,
                    oldest: state.loaded,
                });
            }
            None => Vec::new(),
        };
        Ok((events, state.revision))
    }

    pub(super) fn subscribe(&self, resource: &str) -> watch::Receiver<Revision> {
        if let Some(table) = self.read().tables.get(resource) {
            return table.changed.subscribe();
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.table(resource).changed.subscribe()
    }

    pub(super) async fn reached(&self, revision: Revision) {
        let mut newest = self.newest.subscribe();
        let reached = newest.wait_for(|newest| *newest >= revision).await;
        reached.expect("the sender is this memory's");
    }

    /// Makes a durable group readable, all at once, and tells the watchers.
    pub(super) fn publish(&self, revision: Revision, changes: Vec<Published>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        assert!(state.revision <= revision, "revisions only grow");
        state.revision = revision;
        let mut touched: Vec<watch::Sender<Revision>> = Vec::new();
        for change in changes {
            let table = state.table(change.object.key.resource());
            if change.removed {
                table.objects.remove(&change.object.key);
            } else {
                table.objects.put(change.object.clone());
            }
            let event = Event::new(change.removed, change.object.clone(), change.previous);
            table.history.push(Arc::new(event));
            if !touched.iter().any(|sender| sender.same_channel(&table.changed)) {
                touched.push(table.changed.clone());
            }
        }
        drop(state);
        for sender in touched {
            sender.send_replace(revision);
        }
        self.newest.send_replace(revision);
    }

    /// A panic while the lock was held can't leave the state half changed in a way that matters more than going on.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}
