//! Writing files so that a power cut leaves either the old one or the new one, whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// Writes JSON beside the path, makes it durable, then renames it into place and makes the name durable.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let bytes = serde_json::to_vec(value)?;
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    written.inspect_err(|_| {
        // A full disk needs its room; where this fails, the next draft takes its place.
        let _ = fs::remove_file(&draft);
    })?;
    sync_parent(path)
}

/// A name is durable only when its directory is.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
