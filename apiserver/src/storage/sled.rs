//! The backend on sled 0.34: the only file that knows sled.
//!
//! sled by itself loses acknowledged writes, so it is held short: no flush timer, one atomic batch per group, `flush` (which
//! is only sync_file_range(2)), then fdatasync(2) of its files. A record carries a checksum, the state record counts all
//! records and sums their checksums, and a witness file outside sled's log tells when the log's tail is missing. sled panics
//! on some damaged files; a panic counts as damage.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use nix::fcntl::{Flock, FlockArg};
use sled::IVec;

use super::backend::{Backend, BackendError, Entry, Group, Loaded, Record};
use super::key::{Key, Revision};
use super::reserve::Reserve;
use super::witness::Witness;

/// Sorts before all keys and is none.
const STATE: &[u8] = b"\0state";
/// All objects are in memory already, so sled need not keep them once more.
const CACHE_BYTES: u64 = 1 << 20;
/// Checksum and revision before the JSON.
const HEADER: usize = 12;

/// Groups in a sled log.
pub(super) struct SledBackend {
    directory: PathBuf,
    open: Option<Open>,
    /// sled itself failed, and can't be opened again in this process: it still holds its lock.
    failed: bool,
}

struct Open {
    db: sled::Db,
    log: File,
    blobs: Blobs,
    witness: Witness,
    sums: Sums,
    reserve: Reserve,
}

impl SledBackend {
    /// For the files in `directory`, which is made when it isn't there. Opens nothing yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: None,
            failed: false,
        }
    }

    fn damaged(&self, what: impl Into<String>) -> BackendError {
        BackendError::Damaged {
            path: self.directory.clone(),
            what: what.into(),
        }
    }

    /// Runs what calls sled; its panics and its own errors become ours.
    fn guarded<T>(&self, act: &'static str, call: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, BackendError> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(sled::Error::Io(source))) if is_the_systems(&source) => Err(self.io(act)(source)),
            Ok(Err(error)) => Err(self.damaged(error.to_string())),
            Err(panic) => Err(self.damaged(format!("sled panicked: {}", text_of(&*panic)))),
        }
    }

    fn io(&self, act: &'static str) -> impl FnOnce(io::Error) -> BackendError {
        let path = self.directory.clone();
        move |source| BackendError::Io { act, path, source }
    }

    fn open(&mut self) -> Result<Loaded, BackendError> {
        let path = &self.directory;
        wait_until_released(&path.join("db")).map_err(self.io("lock"))?;
        let config = sled::Config::new()
            .path(path)
            .flush_every_ms(None)
            .cache_capacity(CACHE_BYTES);
        let db = self.guarded("open", || config.open())?;
        let witness = Witness::open(&path.join("acknowledged")).map_err(self.io("open"))?;
        let log = File::options()
            .read(true)
            .write(true)
            .open(path.join("db"))
            .map_err(self.io("open"))?;
        // The files are new, or renamed: their names have to be durable too.
        sync_directory(path)
            .and_then(|()| sync_directory(path.parent().unwrap_or(path)))
            .map_err(self.io("sync"))?;
        let blobs = Blobs::new(path.join("blobs"));
        let pairs = self.guarded("read", || db.iter().collect::<Result<Vec<_>, _>>())?;
        let (loaded, sums) = self.verify(&pairs)?;
        let acknowledged = witness.read().map_err(self.io("read"))?.unwrap_or_default();
        if loaded.revision < acknowledged {
            let (found, lost) = (loaded.revision, acknowledged.0 - loaded.revision.0);
            return Err(self.damaged(format!(
                "it ends at revision {found}, and {lost} acknowledged writes are missing"
            )));
        }
        self.open = Some(Open {
            db,
            log,
            blobs,
            witness,
            sums,
            reserve: Reserve::default(),
        });
        Ok(loaded)
    }

    fn verify(&self, pairs: &[(IVec, IVec)]) -> Result<(Loaded, Sums), BackendError> {
        let (mut loaded, mut sums, mut state) = (Loaded::default(), Sums::default(), None);
        for (key, value) in pairs {
            let shown = String::from_utf8_lossy(key);
            let (revision, body) = unsealed(key, value)
                .ok_or_else(|| self.damaged(format!("the record {shown:?} has a wrong checksum")))?;
            if key.as_ref() == STATE {
                loaded.revision = revision;
                state = Some(body.to_vec());
                continue;
            }
            let parsed = Key::parse(&shown).ok_or_else(|| self.damaged(format!("the key {shown:?} is none")))?;
            sums.put(parsed.clone(), checksum_of(value));
            loaded.records.push(Record {
                key: parsed,
                revision,
                json: Bytes::copy_from_slice(body),
            });
        }
        let expected = state.or_else(|| pairs.is_empty().then(|| Sums::default().encode()));
        if expected != Some(sums.encode()) {
            return Err(self.damaged(format!("records are missing; {} are there", loaded.records.len())));
        }
        Ok((loaded, sums))
    }

    fn write(&self, open: &mut Open, group: &Group) -> Result<(), BackendError> {
        let mut batch = sled::Batch::default();
        for entry in &group.entries {
            match entry {
                Entry::Put(Record { key, revision, json }) => {
                    let value = sealed(key.as_str().as_bytes(), *revision, json);
                    open.sums.put(key.clone(), checksum_of(&value));
                    batch.insert(key.as_str(), value);
                }
                Entry::Remove(key) => {
                    open.sums.remove(key);
                    batch.remove(key.as_str());
                }
            }
        }
        batch.insert(STATE, sealed(STATE, group.revision, &open.sums.encode()));
        self.guarded("write", || open.db.apply_batch(batch))?;
        self.guarded("flush", || open.db.flush())?;
        open.log
            .sync_data()
            .and_then(|()| open.blobs.sync())
            .map_err(self.io("sync"))?;
        open.witness.write(group.revision).map_err(self.io("write"))
    }
}

impl Backend for SledBackend {
    fn load(&mut self) -> Result<Loaded, BackendError> {
        if self.failed {
            return Err(BackendError::Unusable {
                path: self.directory.clone(),
            });
        }
        self.open = None;
        // sled 0.34 makes directories with the process's umask; the objects hold secrets.
        make_private(&self.directory).map_err(self.io("make"))?;
        self.open()
    }

    fn commit(&mut self, group: &Group) -> Result<(), BackendError> {
        let mut open = self.open.take().ok_or_else(|| BackendError::Unusable {
            path: self.directory.clone(),
        })?;
        let sizes = group.entries.iter().map(|entry| match entry {
            Entry::Put(record) => record.json.len(),
            Entry::Remove(_) => 0,
        });
        let reserved = open.reserve.take(&open.log, sizes);
        if let Err(source) = reserved {
            self.open = Some(open);
            return Err(self.io("allocate space in")(source));
        }
        let written = self.write(&mut open, group);
        if written.is_err() {
            // Dropping a sled that failed to write waits forever for that write.
            std::mem::forget(open);
            self.failed = true;
        } else {
            self.open = Some(open);
        }
        written
    }

    fn is_usable(&self) -> bool {
        !self.failed
    }
}

/// sled keeps large values as files of their own beside the log, and doesn't sync them.
struct Blobs {
    directory: PathBuf,
    seen_at: Option<SystemTime>,
    synced: HashSet<OsString>,
}

impl Blobs {
    fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            seen_at: None,
            synced: HashSet::new(),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let modified = fs::metadata(&self.directory)?.modified()?;
        if self.seen_at == Some(modified) {
            return Ok(());
        }
        let mut present = HashSet::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if !self.synced.contains(&entry.file_name()) {
                File::open(entry.path())?.sync_data()?;
            }
            present.insert(entry.file_name());
        }
        sync_directory(&self.directory)?;
        self.synced = present;
        // Two changes within one tick of the clock look like one: only a directory that has rested is known.
        let rested = modified.elapsed().is_ok_and(|age| age.as_millis() > 20);
        self.seen_at = rested.then_some(modified);
        Ok(())
    }
}

/// How many records there are and what their checksums add up to.
#[derive(Default)]
struct Sums {
    checksums: HashMap<Key, u32>,
    sum: u64,
}

impl Sums {
    fn put(&mut self, key: Key, checksum: u32) {
        self.remove(&key);
        self.sum = self.sum.wrapping_add(checksum.into());
        self.checksums.insert(key, checksum);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(old) = self.checksums.remove(key) {
            self.sum = self.sum.wrapping_sub(old.into());
        }
    }

    fn encode(&self) -> Vec<u8> {
        let count = self.checksums.len() as u64;
        [count.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }
}

/// Checksum over key and rest, revision, body.
fn sealed(key: &[u8], revision: Revision, body: &[u8]) -> Vec<u8> {
    let mut value = vec![0; HEADER];
    value[4..].copy_from_slice(&revision.0.to_le_bytes());
    value.extend_from_slice(body);
    let checksum = checksum(key, &value[4..]);
    value[..4].copy_from_slice(&checksum.to_le_bytes());
    value
}

fn unsealed<'a>(key: &[u8], value: &'a [u8]) -> Option<(Revision, &'a [u8])> {
    let (header, body) = value.split_at_checked(HEADER)?;
    let revision = header[4..].try_into().map(u64::from_le_bytes).ok()?;
    (checksum(key, &value[4..]) == checksum_of(value)).then_some((Revision(revision), body))
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

fn checksum_of(value: &[u8]) -> u32 {
    let bytes = value[..4]
        .try_into()
        .expect("sealed values begin with four bytes of checksum");
    u32::from_le_bytes(bytes)
}

/// sled's threads may hold its lock for a moment after it was dropped, and sled would call that an error like any other. No
/// other process can hold it: the lock beside the store is taken before.
fn wait_until_released(log: &Path) -> io::Result<()> {
    match File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => Flock::lock(file?, FlockArg::LockExclusive)
            .map(drop)
            .map_err(|(_, error)| error.into()),
    }
}

fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The operating system said no, and may say yes later. What sled itself makes up has no code, and a file that is missing or
/// of another type doesn't come back.
fn is_the_systems(error: &io::Error) -> bool {
    let missing = [
        io::ErrorKind::NotFound,
        io::ErrorKind::IsADirectory,
        io::ErrorKind::NotADirectory,
    ];
    error.raw_os_error().is_some() && !missing.contains(&error.kind())
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
