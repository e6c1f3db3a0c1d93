//! Who watches a resource, and how they are told that it has changed.
//!
//! ```text
//!  writer thread -- one wake-up --> crier (a task a resource) -- a group, a turn for everybody else, a group … --> watchers
//! ```
//! A message to one client costs about ten microseconds (a TLS record, a write to a socket, a wake-up on the other side), however
//! many events are in it. With a hundred clients and a quick writer that is more time than there is, and each write would wait
//! until everybody had heard of the one before. So the crier lets requests in between the groups, and after a round for a
//! crowd it rests for as long as such a round takes: events that happen meanwhile go out together. The first event after a
//! silence goes out at once, and a few watchers hear of each event by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::storage::{Revision, Store};

/// How many are told at once.
const GROUP: usize = 8;
/// Up to here nobody rests.
const FEW: usize = 24;
/// What a message costs the server.
const MESSAGE: Duration = Duration::from_micros(10);
/// No crowd is worth more than that.
const LONGEST: Duration = Duration::from_millis(10);

/// The watchers of each resource.
#[derive(Default)]
pub(crate) struct Crowds(Mutex<HashMap<String, Groups>>);

/// A bell for each group; filled up before there is another one.
type Groups = Arc<Mutex<Vec<watch::Sender<Revision>>>>;

impl Crowds {
    /// Told from now on whenever the resource changes.
    pub(super) fn join(&self, store: &Store, resource: &str) -> watch::Receiver<Revision> {
        let mut crowds = lock(&self.0);
        let groups = match crowds.get(resource) {
            Some(groups) => groups.clone(),
            None => {
                let groups = Groups::default();
                tokio::spawn(cry(store.subscribe(resource), groups.clone()));
                crowds.insert(resource.to_owned(), groups.clone());
                groups
            }
        };
        drop(crowds);
        let mut groups = lock(&groups);
        if let Some(group) = groups.iter().find(|group| group.receiver_count() < GROUP) {
            return group.subscribe();
        }
        let (group, told) = watch::channel(Revision::default());
        groups.push(group);
        told
    }
}

/// Passes on what the store tells, as long as there is a store.
async fn cry(mut changed: watch::Receiver<Revision>, groups: Groups) {
    while changed.changed().await.is_ok() {
        let revision = *changed.borrow_and_update();
        // Who joins while these are told has looked into the store after this change.
        let told: Vec<_> = lock(&groups).clone();
        let mut watchers = 0;
        for (number, group) in told.into_iter().enumerate() {
            if number > 0 {
                tokio::task::yield_now().await;
            }
            watchers += group.receiver_count();
            group.send_replace(revision);
        }
        if let Some(rest) = rest(watchers) {
            tokio::time::sleep(rest).await;
        }
    }
}

/// For how long events are gathered after so many were told.
fn rest(watchers: usize) -> Option<Duration> {
    let crowd = u32::try_from(watchers).unwrap_or(u32::MAX);
    (watchers > FEW).then(|| MESSAGE.saturating_mul(crowd).min(LONGEST))
}

/// Looking up and counting don't panic in between.
fn lock<T>(locked: &Mutex<T>) -> MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_rests() {
        assert_eq!(rest(0), None);
        assert_eq!(rest(24), None);
        assert_eq!(rest(25), Some(Duration::from_micros(250)));
        assert_eq!(rest(100), Some(Duration::from_millis(1)));
        assert_eq!(rest(usize::MAX), Some(LONGEST));
    }

    #[tokio::test]
    async fn everybody_is_told_and_places_are_used_again() {
        let directory = tempfile::tempdir().expect("a folder");
        let (store, _writer) = Store::open(directory.path(), |_, _| Vec::new()).expect("a new store");
        let crowds = Crowds::default();
        let (change, changed) = watch::channel(Revision(1));
        let groups = Groups::default();
        lock(&crowds.0).insert("configmaps".to_owned(), groups.clone());
        let crier = tokio::spawn(cry(changed, groups.clone()));
        let mut watchers: Vec<_> = (0..40).map(|_| crowds.join(&store, "configmaps")).collect();
        assert_eq!(lock(&groups).len(), 5);
        for revision in 2..5 {
            change.send_replace(Revision(revision));
            for watcher in &mut watchers {
                watcher.changed().await.expect("the crier is there");
                assert_eq!(*watcher.borrow_and_update(), Revision(revision));
            }
        }
        watchers.truncate(1);
        watchers.extend((0..39).map(|_| crowds.join(&store, "configmaps")));
        assert_eq!(lock(&groups).len(), 5);
        drop(change);
        crier.await.expect("it ends with the store");
    }
}
