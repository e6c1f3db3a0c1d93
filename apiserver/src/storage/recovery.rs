//! Opening the store, whatever state it is in.
//!
//! ```text
//! DIR/lock          held while the store is open
//! DIR/store/        the log                          opens and verifies -> served
//! DIR/store.damaged-TIME/                            otherwise: set aside under this name, never deleted
//! DIR/snapshots/    N.snapshot                       the newest one that verifies takes its place
//! ```
//! A disk that refuses (permissions, no space) isn't damage: then the server doesn't start and says why.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::backend::{Backend, BackendError, Entry, Group, Loaded};
use super::key::Revision;
use super::sled::SledBackend;
use super::snapshot;
use super::witness::Witness;
use super::writer::chain;

/// Added to the last known revision after a loss: numbers that clients may have seen are never given out again.
const REVISION_GAP: u64 = 1 << 20;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The directory or the lock in it can't be made.
    #[error("can't {act} {}", path.display())]
    Prepare {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the store in {} is open in another process; there can be only one API server on it", .0.display())]
    InUse(PathBuf),
    /// The disk refused.
    #[error("can't open the store")]
    Backend(#[source] BackendError),
    /// A record verified but holds no object.
    #[error("the store holds something that is no object")]
    Decode(#[source] serde_json::Error),
    /// No thread for the writer.
    #[error("can't start the store's writer")]
    Thread(#[source] io::Error),
}

/// An open store.
pub(super) struct Opened {
    pub(super) backend: Box<dyn Backend>,
    pub(super) loaded: Loaded,
}

/// The backend with the lock that keeps others out for as long as it is open.
struct Locked {
    backend: SledBackend,
    _lock: Flock<File>,
}

impl Backend for Locked {
    fn load(&mut self) -> Result<Loaded, BackendError> {
        self.backend.load()
    }

    fn commit(&mut self, group: &Group) -> Result<(), BackendError> {
        self.backend.commit(group)
    }

    fn is_usable(&self) -> bool {
        self.backend.is_usable()
    }
}

/// Where the snapshots of the store in `directory` are.
pub(super) fn snapshots_of(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

/// Opens the store in `directory`.
pub(super) fn open(directory: &Path) -> Result<Opened, OpenError> {
    let lock = lock(directory)?;
    let store = directory.join("store");
    let mut backend = SledBackend::new(&store);
    let loaded = match backend.load() {
        Err(error) if error.is_damage() => {
            drop(backend);
            backend = SledBackend::new(&store);
            replace(directory, &store, &mut backend, &error)?
        }
        loaded => loaded.map_err(OpenError::Backend)?,
    };
    let backend = Box::new(Locked { backend, _lock: lock });
    Ok(Opened { backend, loaded })
}

fn lock(directory: &Path) -> Result<Flock<File>, OpenError> {
    let prepare = |act: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Prepare { act, path, source }
    };
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(prepare("make", directory))?;
    let path = directory.join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(prepare("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| OpenError::InUse(directory.to_owned()))
}

/// Sets the damaged log aside and begins a new one with what the newest good snapshot has.
fn replace(
    directory: &Path,
    store: &Path,
    backend: &mut SledBackend,
    damage: &BackendError,
) -> Result<Loaded, OpenError> {
    let acknowledged = acknowledged(store);
    let aside = set_aside(directory, store)?;
    let mut loaded = Loaded::default();
    let mut origin = "no snapshot is there: the store starts empty".to_owned();
    for path in snapshot::list(&snapshots_of(directory)).unwrap_or_default() {
        match snapshot::read(&path) {
            Ok(restored) => {
                origin = format!("restored from the snapshot of {} ({})", restored.time, path.display());
                loaded = restored.loaded;
                break;
            }
            Err(error) => tracing::warn!(error = %chain(&error), "a snapshot is broken too; trying the one before"),
        }
    }
    let lacks = match acknowledged {
        Some(acknowledged) => format!("{} changes", acknowledged.0.saturating_sub(loaded.revision.0)),
        None => "an unknown number of changes".to_owned(),
    };
    tracing::error!(damage = %chain(damage), set_aside = %aside.display(), origin, lacks, "the store was damaged and is set aside");
    let last = acknowledged.unwrap_or_default().max(loaded.revision);
    loaded.revision = Revision(last.0 + REVISION_GAP);
    backend.load().map_err(OpenError::Backend)?;
    let group = Group {
        revision: loaded.revision,
        entries: loaded.records.iter().cloned().map(Entry::Put).collect(),
    };
    backend.commit(&group).map_err(OpenError::Backend)?;
    Ok(loaded)
}

fn acknowledged(store: &Path) -> Option<Revision> {
    Witness::open(&store.join("acknowledged")).ok()?.read().ok()?
}

fn set_aside(directory: &Path, store: &Path) -> Result<PathBuf, OpenError> {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
    let aside = directory.join(format!("store.damaged-{time}"));
    fs::rename(store, &aside).map_err(|source| OpenError::Prepare {
        act: "set aside",
        path: store.to_owned(),
        source,
    })?;
    Ok(aside)
}
