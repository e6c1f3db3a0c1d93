//! What every backend has to do, whatever it is made of. A backend's own tests call [`run`].

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Backend, Entry, Group, Loaded, Record};
use crate::storage::key::{Key, Revision};

/// Runs the suite; `open` gives a backend on the place it is given, empty when that is new.
pub(in crate::storage) fn run(open: Open) {
    new_is_empty(open);
    large_values_are_kept(open);
    what_is_committed_is_loaded(open);
}

/// Gives a backend on a place.
type Open = fn(&Path) -> Box<dyn Backend>;

pub(in crate::storage) fn record(name: &str, revision: u64, size: usize) -> Record {
    let json = format!(
        "{{\"metadata\":{{\"name\":\"{name}\"}},\"data\":\"{}\"}}",
        "x".repeat(size)
    );
    Record {
        key: Key::new("configmaps", "default", name),
        revision: Revision(revision),
        json: Bytes::from(json),
    }
}

fn new_is_empty(open: Open) {
    let place = tempfile::tempdir().expect("a directory");
    let loaded = open(place.path()).load().expect("a new store opens");
    assert_eq!(loaded, Loaded::default());
}

fn large_values_are_kept(open: Open) {
    let place = tempfile::tempdir().expect("a directory");
    let large: Vec<Record> = (1..=3).map(|n| record(&format!("large-{n}"), n, 1_200_000)).collect();
    let mut backend = open(place.path());
    backend.load().expect("a new store opens");
    for record in &large {
        let group = Group {
            revision: record.revision,
            entries: vec![Entry::Put(record.clone())],
        };
        backend.commit(&group).expect("a large value is committed");
    }
    drop(backend);
    assert_eq!(open(place.path()).load().expect("it opens again").records, large);
}

/// Any sequence of groups, with openings in between, ends in what a map would hold.
fn what_is_committed_is_loaded(open: Open) {
    let change = (0..12u8, prop::option::weighted(0.7, 0..3000usize));
    let groups = prop::collection::vec((prop::collection::vec(change, 1..8), any::<bool>()), 1..12);
    let mut runner = TestRunner::new(Config::with_cases(24));
    let outcome = runner.run(&groups, |groups| {
        let place = tempfile::tempdir().expect("a directory");
        let (mut expected, mut revision) = (BTreeMap::new(), 0);
        let mut backend = open(place.path());
        backend.load().expect("a new store opens");
        for (changes, reopen) in groups {
            let mut entries = Vec::new();
            for (name, size) in changes {
                revision += 1;
                let record = record(&format!("n{name}"), revision, size.unwrap_or(0));
                match size {
                    Some(_) => {
                        expected.insert(record.key.clone(), record.clone());
                        entries.push(Entry::Put(record));
                    }
                    None => {
                        expected.remove(&record.key);
                        entries.push(Entry::Remove(record.key));
                    }
                }
            }
            let group = Group {
                revision: Revision(revision),
                entries,
            };
            backend.commit(&group).expect("a group is committed");
            if reopen {
                drop(backend);
                backend = open(place.path());
                let loaded = backend.load().expect("what was written opens");
                let records: Vec<Record> = expected.values().cloned().collect();
                prop_assert_eq!(loaded.revision, Revision(revision));
                prop_assert_eq!(loaded.records, records);
            }
        }
        Ok(())
    });
    outcome.expect("the backend holds what a map would hold");
}
