//! Which layer a step has made before: a small file by the digest of all that went into it.
//!
//! A record that names a layer which is gone is worth nothing and is removed when it is met. What keeps the layers themselves
//! are images: the ones that were built, and those of `NAMESPACE` for stages that no image has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::images::Images;
use crate::images::compose::Layer;
use crate::images::digest::{ChainId, Digest};

/// Records that are kept: some 200 bytes each.
const KEPT: usize = 4096;

pub(super) struct Cache {
    directory: PathBuf,
}

/// What a step has made: no layer if it changed nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) layer: Option<Layer>,
}

impl Cache {
    pub(super) fn open(root: &Path) -> io::Result<Cache> {
        let directory = root.join("build/cache");
        fs::create_dir_all(&directory)?;
        Ok(Cache { directory })
    }

    /// What a step with this key has made upon `parent`, if it is still here.
    pub(super) fn get(&self, key: &Digest, images: &Images, parent: Option<&ChainId>) -> Option<Made> {
        let path = self.directory.join(key.hex());
        let made: Made = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let here = made
            .layer
            .as_ref()
            .is_none_or(|layer| images.has_layer(&ChainId::extend(parent, &layer.diff_id), layer));
        if !here {
            let _ = fs::remove_file(&path);
            return None;
        }
        Some(made)
    }

    /// After a power cut a record may be missing or cut off: then the step is done again.
    pub(super) fn put(&self, key: &Digest, made: &Made) -> io::Result<()> {
        let partial = self.directory.join(format!("{}.partial", key.hex()));
        fs::write(&partial, serde_json::to_vec(made)?)?;
        fs::rename(&partial, self.directory.join(key.hex()))
    }

    /// Removes the oldest records beyond what is kept.
    pub(super) fn trim(&self) -> io::Result<()> {
        let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
        all.sort();
        let surplus = all.len().saturating_sub(KEPT);
        for (_, path) in all.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}
