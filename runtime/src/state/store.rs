//! All records of one kind: a directory with a directory for each, and the map of them in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Record, StateError};

/// Records by id.
pub(crate) struct Store<R> {
    directory: PathBuf,
    entries: Mutex<BTreeMap<String, Arc<Entry<R>>>>,
}

/// Why an id names no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lookup {
    #[error("{kind} {id:?} not found")]
    NotFound { kind: &'static str, id: String },
    #[error("{id:?} is the beginning of several {kind} ids: write more of it")]
    Ambiguous { kind: &'static str, id: String },
}

impl<R: Record> Store<R> {
    /// Reads what is there. Returns also the ids of directories without a readable record: remains of a power loss, which
    /// the caller removes with what they own.
    pub(crate) fn open(directory: &Path) -> Result<(Store<R>, Vec<String>), StateError> {
        let list = |source| StateError::List {
            path: directory.to_owned(),
            source,
        };
        fs::create_dir_all(directory).map_err(list)?;
        let mut entries = BTreeMap::new();
        let mut unreadable = Vec::new();
        for found in fs::read_dir(directory).map_err(list)? {
            let path = found.map_err(list)?.path();
            let id = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            match Entry::read(path) {
                Some(entry) => {
                    entries.insert(id, Arc::new(entry));
                }
                None => unreadable.push(id),
            }
        }
        Ok((
            Store {
                directory: directory.to_owned(),
                entries: Mutex::new(entries),
            },
            unreadable,
        ))
    }

    /// Where a record's files are; other files about the same thing may stand there too.
    pub(crate) fn directory_of(&self, id: &str) -> PathBuf {
        self.directory.join(id)
    }

    /// Adds a new record, on disk first.
    pub(crate) fn insert(&self, record: R) -> Result<Arc<Entry<R>>, StateError> {
        let directory = self.directory_of(record.id());
        fs::create_dir_all(&directory).map_err(|source| StateError::Write {
            path: directory.clone(),
            source,
        })?;
        let id = record.id().to_owned();
        let entry = Arc::new(Entry::new(directory, record));
        entry.write()?;
        self.entries().insert(id, Arc::clone(&entry));
        Ok(entry)
    }

    /// The record with this id, or the only one whose id begins so.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Entry<R>>, Lookup> {
        let not_found = || Lookup::NotFound {
            kind: R::KIND,
            id: id.to_owned(),
        };
        if id.is_empty() {
            return Err(not_found());
        }
        let entries = self.entries();
        let mut matching = entries
            .range(id.to_owned()..)
            .take_while(|(key, _)| key.starts_with(id));
        let (key, entry) = matching.next().ok_or_else(not_found)?;
        if key != id && matching.next().is_some() {
            return Err(Lookup::Ambiguous {
                kind: R::KIND,
                id: id.to_owned(),
            });
        }
        Ok(Arc::clone(entry))
    }

    /// All records, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Entry<R>>> {
        self.entries().values().cloned().collect()
    }

    /// Removes a record, from disk first.
    pub(crate) fn remove(&self, id: &str) -> Result<(), StateError> {
        let entry = self.entries().get(id).cloned();
        if let Some(entry) = entry {
            entry.remove_files()?;
            self.entries().remove(id);
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry<R>>>> {
        // Nothing panics while it holds this lock; the map is whole at every moment anyway.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
