//! One record in memory: read by anyone, changed by one at a time, on disk before anyone sees the change.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Mutex as OperationMutex, MutexGuard, watch};

use super::{Record, StateError};

/// The file of a record in its directory.
const RECORD_FILE: &str = "record.json";

/// A record, the file it is kept in, and who works on it.
pub(crate) struct Entry<R> {
    directory: PathBuf,
    record: watch::Sender<R>,
    writing: Mutex<()>,
    /// Held while a verb works on the thing: start, remove and the like exclude each other.
    operation: OperationMutex<()>,
}

impl<R: Record> Entry<R> {
    pub(super) fn new(directory: PathBuf, record: R) -> Entry<R> {
        Entry {
            directory,
            record: watch::Sender::new(record),
            writing: Mutex::new(()),
            operation: OperationMutex::default(),
        }
    }

    /// Reads the record of a directory; none if there is none that can be read.
    pub(super) fn read(directory: PathBuf) -> Option<Entry<R>> {
        let record: R = serde_json::from_slice(&fs::read(directory.join(RECORD_FILE)).ok()?).ok()?;
        let named = directory.file_name().is_some_and(|name| name == record.id());
        named.then(|| Entry::new(directory, record))
    }

    /// The record as it is now.
    pub(crate) fn get(&self) -> R {
        self.record.borrow().clone()
    }

    /// A glance at the record, without a copy.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&R) -> T) -> T {
        look(&self.record.borrow())
    }

    /// Changes the record if `change` says so, on disk first. Tells whether it did.
    pub(crate) fn update(&self, change: impl FnOnce(&mut R) -> bool) -> Result<bool, StateError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = self.get();
        if !change(&mut record) {
            return Ok(false);
        }
        // A disk that is full must not hide what happened: memory has the news in any case.
        let written = self.write_record(&record);
        self.record.send_replace(record);
        written.map(|()| true)
    }

    /// Waits until the record is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&R) -> bool) {
        let waited = self.record.subscribe().wait_for(wanted).await.map(drop);
        debug_assert!(waited.is_ok(), "the entry owns the sender");
    }

    /// Waits for the turn to work on the thing.
    pub(crate) async fn operate(&self) -> MutexGuard<'_, ()> {
        self.operation.lock().await
    }

    pub(super) fn write(&self) -> Result<(), StateError> {
        self.write_record(&self.get())
    }

    fn write_record(&self, record: &R) -> Result<(), StateError> {
        let path = self.directory.join(RECORD_FILE);
        let partial = path.with_extension("partial");
        let text = serde_json::to_vec_pretty(record).expect("records have only strings for keys");
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| StateError::Write { path, source })
    }

    pub(super) fn remove_files(&self) -> Result<(), StateError> {
        let path = self.directory.clone();
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StateError::Remove { path, source }),
            _ => Ok(()),
        }
    }
}
