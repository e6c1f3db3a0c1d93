//! Directories that become a container's root: layers, unpacked once and never written again, and one writable layer for
//! each container. overlayfs joins them; nothing is mounted here.
//!
//! ```text
//! begin -> draft (directory without record) -> publish -> layer, known by its chain id
//!            | dropped, or found at open                   | retain: no image and no container needs it
//!            v                                             v
//!          removed                                       removed
//! prepare(key, chain) -> writable layer of a container -> remove(key)
//! ```
//! `<root>/<n>/fs` is the content (numbers keep overlayfs' options short: they must fit one page), `<root>/<n>/work` what
//! overlayfs needs beside a writable one, `<root>/<n>/snapshot.json` the record. The record is the commit: it is written
//! durably after the content is, and a directory without one is the remains of a crash. What is removed goes to the trash.

pub(crate) mod durable;
mod error;
pub(crate) mod merged;
mod rebase;
mod record;
pub(crate) mod removal;
#[cfg(test)]
mod tests;
pub(crate) mod trash;
mod usage;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::images::content::is_older;
use crate::images::digest::{ChainId, Digest};
use crate::images::unpack::Unpacked;
pub use error::SnapshotError;
use error::failing;
use record::{Found, Record};
use trash::Trash;
pub use usage::Usage;

/// The mount of a container's root: `lowerdir` is `lower` joined by colons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, topmost first, absolute. Never empty.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// overlayfs' own directory, on the same file system as `upper`.
    pub work: PathBuf,
}

impl Rootfs {
    /// Reads a file of the image before anything is mounted: `path` is relative to the root, symbolic links stay inside of
    /// it. At most `limit` bytes; none if there is no regular file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        merged::read(&self.lower, path, limit)
    }
}

/// What a stack of layers shows, without a mount. Paths are relative to its root.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Topmost first.
    pub(crate) lower: Vec<PathBuf>,
}

impl View {
    /// Where a path leads when links are followed, all beneath the root; what isn't there stays as written. None when there
    /// are too many links.
    pub(crate) fn resolve(&self, path: &Path) -> Option<PathBuf> {
        merged::resolve(&self.lower, path)
    }

    /// What is at a path that has no links on its way.
    pub(crate) fn look_up(&self, path: &Path) -> Option<merged::Seen> {
        merged::look_up(&self.lower, path)
    }

    /// Names in a directory that has no links on its way.
    pub(crate) fn list(&self, path: &Path) -> io::Result<BTreeSet<OsString>> {
        merged::list(&self.lower, path)
    }

    /// A small file, with links followed.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        merged::read(&self.lower, path, limit)
    }
}

/// All snapshots of one data directory.
#[derive(Debug)]
pub struct Snapshots {
    root: PathBuf,
    trash: Arc<Trash>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    layers: HashMap<ChainId, Layer>,
    containers: HashMap<String, Container>,
}

#[derive(Debug)]
struct Layer {
    number: u64,
    parent: Option<ChainId>,
    usage: Usage,
}

#[derive(Debug)]
struct Container {
    number: u64,
    parent: Option<ChainId>,
}

/// A snapshot as a list tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// A layer's chain id, or whose writable layer it is.
    pub(crate) key: String,
    pub(crate) parent: Option<ChainId>,
    /// What a layer takes; none for a writable one, which would have to be measured.
    pub(crate) layer: Option<Usage>,
}

impl Snapshots {
    /// Reads the records under `root`, which is made if it is missing, and removes what a crash left unfinished.
    pub(crate) fn open(root: &Path, trash: Arc<Trash>) -> Result<Self, SnapshotError> {
        fs::create_dir_all(root).map_err(failing("make", root))?;
        let mut state = State::default();
        for entry in fs::read_dir(root).map_err(failing("read", root))? {
            let path = entry.map_err(failing("read", root))?.path();
            let Some(number) = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok()) else {
                continue;
            };
            state.next = state.next.max(number + 1);
            match record::read(&path)? {
                Found::Record(record) => state.insert(number, record),
                Found::Unfinished => throw(&trash, &path)?,
                Found::Unknown(reason) => {
                    tracing::warn!(path = %path.display(), reason, "this snapshot is left alone: its record is unknown");
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            trash,
            state: Mutex::new(state),
        })
    }

    /// Makes a writable layer for the container `key` upon the stack `parent`.
    ///
    /// # Errors
    /// The key is taken, the stack isn't here, or the disk refuses.
    pub fn prepare(&self, key: &str, parent: Option<&ChainId>) -> Result<Rootfs, SnapshotError> {
        let mut state = self.state();
        if state.containers.contains_key(key) {
            return Err(SnapshotError::Taken { key: key.to_owned() });
        }
        let number = state.next;
        let rootfs = self.rootfs_of(&state, number, parent)?;
        state.next += 1;
        let directory = self.directory(number);
        make_writable(&directory, &rootfs).inspect_err(|_| {
            // Without its record it is garbage anyhow; the next open collects what stays.
            let _ = fs::remove_dir_all(&directory);
        })?;
        // Not made durable: after a power cut the container is gone, and so may be its layer.
        let record = Record::Container {
            key: key.to_owned(),
            parent: parent.cloned(),
        };
        record::write_fast(&directory, &record)?;
        let parent = parent.cloned();
        state.containers.insert(key.to_owned(), Container { number, parent });
        Ok(rootfs)
    }

    /// The mount of a container prepared before.
    ///
    /// # Errors
    /// There is none of this key.
    pub fn rootfs(&self, key: &str) -> Result<Rootfs, SnapshotError> {
        let state = self.state();
        let container = state.containers.get(key).ok_or_else(|| unknown(key))?;
        self.rootfs_of(&state, container.number, container.parent.as_ref())
    }

    /// Removes a container's writable layer. The container must have ended.
    ///
    /// # Errors
    /// There is none of this key, or the disk refuses.
    pub fn remove(&self, key: &str) -> Result<(), SnapshotError> {
        let container = self.state().containers.remove(key).ok_or_else(|| unknown(key))?;
        throw(&self.trash, &self.directory(container.number))
    }

    /// What a container's writable layer takes on disk. Walks the layer: call it on a thread that may block.
    ///
    /// # Errors
    /// There is none of this key, or the disk refuses.
    pub fn usage(&self, key: &str) -> Result<Usage, SnapshotError> {
        let number = self.state().containers.get(key).ok_or_else(|| unknown(key))?.number;
        let content = self.directory(number).join("fs");
        Usage::of_tree(&content).map_err(failing("measure", &content))
    }

    /// Keys of all containers that have a writable layer.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().containers.keys().cloned().collect()
    }

    /// What a stack shows; nothing without a layer.
    pub(crate) fn view(&self, top: Option<&ChainId>) -> Result<View, SnapshotError> {
        let lower = top.map(|top| self.lower(&self.state(), top)).transpose()?;
        Ok(View {
            lower: lower.unwrap_or_default(),
        })
    }

    /// Whether the stack up to this layer is here.
    #[must_use]
    pub fn has(&self, chain: &ChainId) -> bool {
        self.state().layers.contains_key(chain)
    }

    /// What all layers take together.
    #[must_use]
    pub fn layers_usage(&self) -> Usage {
        self.state().layers.values().map(|layer| layer.usage).sum()
    }

    /// What a stack of layers takes.
    #[must_use]
    pub fn stack_usage(&self, top: Option<&ChainId>) -> Usage {
        let state = self.state();
        let mut usage = Usage::default();
        let mut next = top;
        while let Some(layer) = next.and_then(|chain| state.layers.get(chain)) {
            usage += layer.usage;
            next = layer.parent.as_ref();
        }
        usage
    }

    /// Everything there is, layers first.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<Listed> {
        let state = self.state();
        let layers = state.layers.iter().map(|(chain, layer)| Listed {
            key: chain.to_string(),
            parent: layer.parent.clone(),
            layer: Some(layer.usage),
        });
        let containers = state.containers.iter().map(|(key, container)| Listed {
            key: key.clone(),
            parent: container.parent.clone(),
            layer: None,
        });
        layers.chain(containers).collect()
    }

    /// A new directory for a layer that is about to be unpacked.
    pub(crate) fn begin(&self) -> Result<Draft, SnapshotError> {
        let number = {
            let mut state = self.state();
            state.next += 1;
            state.next - 1
        };
        let draft = Draft {
            directory: self.directory(number),
            trash: Arc::clone(&self.trash),
            number,
            published: false,
        };
        let content = draft.content();
        fs::create_dir_all(&content).map_err(failing("make", &content))?;
        Ok(draft)
    }

    /// Makes an unpacked layer known as `chain`. All layers below must be published: what the layer takes from them is
    /// joined in now. Blocks until all is on disk. A layer of this name that came first wins.
    pub(crate) fn publish(
        &self,
        mut draft: Draft,
        chain: &ChainId,
        parent: Option<&ChainId>,
        diff_id: &Digest,
        unpacked: &Unpacked,
    ) -> Result<(), SnapshotError> {
        let lower = match parent {
            Some(parent) => self.lower(&self.state(), parent)?,
            None => Vec::new(),
        };
        let content = draft.content();
        rebase::onto(&lower, &content, unpacked)?;
        // One syncfs(2) makes the content durable, however many files it has.
        let opened = File::open(&content).map_err(failing("open", &content))?;
        nix::unistd::syncfs(&opened).map_err(failing("make durable", &content))?;
        let usage = Usage {
            bytes: unpacked.bytes,
            inodes: unpacked.inodes,
        };
        let record = Record::Layer {
            chain: chain.clone(),
            parent: parent.cloned(),
            diff_id: diff_id.clone(),
            usage,
        };
        // Not under the lock: starting containers must not wait for the disk to take a layer.
        record::write_durably(&draft.directory, &record)?;
        let mut state = self.state();
        if !state.layers.contains_key(chain) {
            draft.published = true;
            state.insert(draft.number, record);
        }
        Ok(())
    }

    /// Layers that were made within this time.
    pub(crate) fn younger(&self, age: Duration) -> Vec<ChainId> {
        let state = self.state();
        let young = state
            .layers
            .iter()
            .filter(|(_, layer)| !is_older(&self.directory(layer.number), age));
        young.map(|(chain, _)| chain.clone()).collect()
    }

    /// Removes the layers that neither `needed` nor a container's layer stands on. Returns what was freed.
    pub(crate) fn retain(&self, needed: &HashSet<ChainId>) -> Result<Usage, SnapshotError> {
        let mut freed = Usage::default();
        let mut numbers = Vec::new();
        {
            let mut state = self.state();
            let mut kept: HashSet<ChainId> = HashSet::new();
            let containers = state
                .containers
                .values()
                .filter_map(|container| container.parent.as_ref());
            for top in needed.iter().chain(containers) {
                let mut next = Some(top);
                while let Some(chain) = next.filter(|chain| kept.insert((*chain).clone())) {
                    next = state.layers.get(chain).and_then(|layer| layer.parent.as_ref());
                }
            }
            state.layers.retain(|chain, layer| {
                let keep = kept.contains(chain);
                if !keep {
                    freed += layer.usage;
                    numbers.push(layer.number);
                }
                keep
            });
        }
        // After a power cut, layers may be without their parent; nothing needs them, and the next call takes them.
        for number in numbers {
            throw(&self.trash, &self.directory(number))?;
        }
        Ok(freed)
    }

    fn directory(&self, number: u64) -> PathBuf {
        self.root.join(number.to_string())
    }

    fn rootfs_of(&self, state: &State, number: u64, parent: Option<&ChainId>) -> Result<Rootfs, SnapshotError> {
        let directory = self.directory(number);
        let lower = match parent {
            Some(parent) => self.lower(state, parent)?,
            // overlayfs wants a lower directory even where an image has no layer.
            None => vec![directory.join("empty")],
        };
        Ok(Rootfs {
            lower,
            upper: directory.join("fs"),
            work: directory.join("work"),
        })
    }

    /// Content directories of a stack, topmost first.
    fn lower(&self, state: &State, top: &ChainId) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut lower = Vec::new();
        let mut next = Some(top);
        while let Some(chain) = next {
            let layer = state
                .layers
                .get(chain)
                .ok_or_else(|| SnapshotError::NoLayer { chain: chain.clone() })?;
            lower.push(self.directory(layer.number).join("fs"));
            next = layer.parent.as_ref();
        }
        Ok(lower)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is one insertion or removal: a panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, number: u64, record: Record) {
        match record {
            Record::Layer {
                chain, parent, usage, ..
            } => {
                self.layers.insert(chain, Layer { number, parent, usage });
            }
            Record::Container { key, parent } => {
                self.containers.insert(key, Container { number, parent });
            }
        }
    }
}

/// A layer being unpacked. Dropped without `Snapshots::publish`, it vanishes.
#[derive(Debug)]
pub(crate) struct Draft {
    directory: PathBuf,
    trash: Arc<Trash>,
    number: u64,
    published: bool,
}

impl Draft {
    /// Where the layer's content goes.
    pub(crate) fn content(&self) -> PathBuf {
        self.directory.join("fs")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = throw(&self.trash, &self.directory)
        {
            tracing::warn!(path = %self.directory.display(), %error, "an unfinished layer stays until the next start");
        }
    }
}

/// The root of what a container sees has the owner and mode of the upper directory: those of the topmost layer.
fn make_writable(directory: &Path, rootfs: &Rootfs) -> Result<(), SnapshotError> {
    let top = &rootfs.lower[0];
    for path in [directory, &rootfs.upper, &rootfs.work] {
        fs::create_dir(path).map_err(failing("make", path))?;
    }
    if top.starts_with(directory) {
        return fs::create_dir(top).map_err(failing("make", top));
    }
    let metadata = fs::metadata(top).map_err(failing("read", top))?;
    chown(&rootfs.upper, Some(metadata.uid()), Some(metadata.gid()))
        .map_err(failing("set the owner of", &rootfs.upper))?;
    let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    fs::set_permissions(&rootfs.upper, mode).map_err(failing("set the mode of", &rootfs.upper))
}

/// Removes a snapshot: at once from what looks whole, from the disk as the trash is emptied.
fn throw(trash: &Trash, directory: &Path) -> Result<(), SnapshotError> {
    let Err(error) = trash.throw(directory) else {
        return Ok(());
    };
    tracing::warn!(path = %directory.display(), %error, "can't be thrown into the trash, and is removed in its place");
    // The record goes first, durably: half a snapshot must never look whole after a power cut.
    record::delete_durably(directory)?;
    removal::remove_path(directory).map_err(failing("remove", directory))
}

fn unknown(key: &str) -> SnapshotError {
    SnapshotError::Unknown { key: key.to_owned() }
}
