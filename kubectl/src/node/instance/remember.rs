//! `instance.json`: what later commands need in order to mean the same node, and the mark of a directory that is ours.
//!
//! It stands in the data directory for good, in the run directory as the mark that `down` may remove it, and, while
//! directories were chosen by hand, in `/run/minik/NAME.json`, so that a name alone finds them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Instance, Overrides};
use crate::node::files::{self, Durability};

const FILE: &str = "instance.json";
const DATA_PARENT: &str = "/var/lib/minik";
const RUN_PARENT: &str = "/run/minik";

/// Why what was remembered can't be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was edited by hand, or written by another version.
    #[error("{} is no description of an instance; remove it to derive one anew", path.display())]
    Decode {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// It describes another instance.
    #[error("{} belongs to instance {found:?}, not {wanted:?}: choose another directory", path.display())]
    OtherInstance {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// It can't be written.
    #[error(transparent)]
    Write(#[from] files::FileError),
}

/// What is known of `name`, looked for where the overrides say, then by the name.
pub(super) fn recall(name: &str, overrides: &Overrides) -> Result<Option<Instance>, RememberError> {
    let candidates = match &overrides.data_dir {
        Some(dir) => vec![dir.join(FILE)],
        None => vec![by_name(name), Path::new(DATA_PARENT).join(name).join(FILE)],
    };
    for path in candidates {
        if let Some(instance) = read(&path)? {
            if instance.name != name {
                return Err(RememberError::OtherInstance {
                    path,
                    found: instance.name,
                    wanted: name.to_owned(),
                });
            }
            return Ok(Some(instance));
        }
    }
    Ok(None)
}

/// The slots of all other instances that this machine knows of.
pub(super) fn slots_taken(name: &str) -> BTreeSet<u16> {
    let dirs = fs::read_dir(DATA_PARENT).into_iter().flatten().flatten();
    let remembered = dirs.map(|entry| entry.path().join(FILE));
    let running = fs::read_dir(RUN_PARENT).into_iter().flatten().flatten();
    let running = running
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"));
    // What can't be read can't be avoided either; the runtime reports ranges that collide.
    let instances = remembered.chain(running).filter_map(|path| read(&path).ok().flatten());
    instances
        .filter(|other| other.name != name)
        .map(|other| other.slot)
        .collect()
}

pub(super) fn remember(instance: &Instance) -> Result<(), RememberError> {
    let json = serde_json::to_vec_pretty(instance).expect("an instance is plain data");
    for (dir, mode) in [(&instance.data_dir, 0o755), (&instance.run_dir, 0o700)] {
        files::create_dir(dir, mode)?;
        files::write_if_changed(&dir.join(FILE), &json, 0o644, Durability::Kept)?;
    }
    files::create_dir(Path::new(RUN_PARENT), 0o755)?;
    files::write_if_changed(&by_name(&instance.name), &json, 0o644, Durability::Remade)?;
    Ok(())
}

pub(super) fn forget(instance: &Instance) {
    // Only the pointer for this very directory: an instance of the same name elsewhere keeps its own.
    let path = by_name(&instance.name);
    if read(&path)
        .ok()
        .flatten()
        .is_some_and(|found| found.data_dir == instance.data_dir)
    {
        let _ = fs::remove_file(&path);
    }
}

pub(super) fn carries_marker(dir: &Path, name: &str) -> bool {
    let marker = dir.join(FILE);
    // A link could point at another instance's marker; a directory others may write to proves nothing.
    let ours = fs::symlink_metadata(&marker).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o022 == 0);
    ours && read(&marker)
        .ok()
        .flatten()
        .is_some_and(|instance| instance.name == name)
}

fn by_name(name: &str) -> PathBuf {
    Path::new(RUN_PARENT).join(format!("{name}.json"))
}

fn read(path: &Path) -> Result<Option<Instance>, RememberError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => {
            return Err(RememberError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let decoded = serde_json::from_slice(&bytes);
    decoded.map(Some).map_err(|source| RememberError::Decode {
        path: path.to_owned(),
        source,
    })
}
