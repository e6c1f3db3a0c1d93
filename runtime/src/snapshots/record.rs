//! `snapshot.json` of a snapshot: what it is. Its presence says that the snapshot is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable;
use super::error::{SnapshotError, failing};
use super::usage::Usage;
use crate::images::digest::{ChainId, Digest};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum Record {
    #[serde(rename_all = "camelCase")]
    Layer {
        chain: ChainId,
        parent: Option<ChainId>,
        diff_id: Digest,
        usage: Usage,
    },
    Container {
        key: String,
        parent: Option<ChainId>,
    },
}

pub(super) enum Found {
    Record(Record),
    /// A crash came before the record was written, or before it reached the disk.
    Unfinished,
    /// Another version's record: not ours to remove.
    Unknown(String),
}

pub(super) fn read(directory: &Path) -> Result<Found, SnapshotError> {
    let path = path(directory);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Unfinished),
        Err(error) => return Err(failing("read", &path)(error)),
    };
    Ok(match serde_json::from_slice(&bytes) {
        Ok(record) => Found::Record(record),
        // A container's record isn't made durable: after a power cut it may be empty or hold zeros.
        Err(error) if error.is_eof() || bytes.first() == Some(&0) => Found::Unfinished,
        Err(error) => Found::Unknown(error.to_string()),
    })
}

pub(super) fn write_durably(directory: &Path, record: &Record) -> Result<(), SnapshotError> {
    let path = path(directory);
    durable::write_json(&path, record).map_err(failing("write", &path))?;
    durable::sync_parent(directory).map_err(failing("make durable", directory))
}

pub(super) fn write_fast(directory: &Path, record: &Record) -> Result<(), SnapshotError> {
    let path = path(directory);
    let bytes = serde_json::to_vec(record).expect("a record of strings and numbers");
    fs::write(&path, bytes).map_err(failing("write", &path))
}

/// A record that isn't there is deleted already.
pub(super) fn delete_durably(directory: &Path) -> Result<(), SnapshotError> {
    let path = path(directory);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failing("remove", &path)(error)),
        _ => {}
    }
    durable::sync_parent(&path).map_err(failing("make durable", &path))
}

fn path(directory: &Path) -> PathBuf {
    directory.join("snapshot.json")
}
