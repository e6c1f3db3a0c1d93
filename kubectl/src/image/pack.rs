//! A folder on its way to a build: a tar archive in pieces, without what `.dockerignore` leaves out.
//!
//! Owners stay behind (in the image all is root's, unless the Dockerfile says otherwise), links are sent as links.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ignore::Ignore;

const PIECE_BYTES: usize = 256 << 10;

/// Sends a folder's files. Blocks.
///
/// # Errors
/// A file can't be read, or nobody takes the pieces any more.
pub fn pack(folder: &Path, ignore: &Ignore, pieces: mpsc::Sender<Vec<u8>>) -> anyhow::Result<()> {
    let out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
    let mut archive = Builder::new(out);
    directory(folder, Path::new(""), ignore, &mut archive)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

fn directory(root: &Path, path: &Path, ignore: &Ignore, archive: &mut Builder<impl Write>) -> anyhow::Result<()> {
    let here = root.join(path);
    let read = || format!("can't read {}", here.display());
    let entries = fs::read_dir(&here).with_context(read)?;
    let mut names: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()
        .with_context(read)?;
    names.sort();
    for name in names {
        let path = path.join(name);
        let out = ignore.leaves_out(&path);
        let metadata =
            fs::symlink_metadata(root.join(&path)).with_context(|| format!("can't read {}", path.display()))?;
        if !out {
            entry(root, &path, &metadata, archive).with_context(|| format!("can't send {}", path.display()))?;
        }
        if metadata.is_dir() && (!out || ignore.brings_back()) {
            directory(root, &path, ignore, archive)?;
        }
    }
    Ok(())
}

fn entry(root: &Path, path: &Path, metadata: &fs::Metadata, archive: &mut Builder<impl Write>) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let name = path.file_name().unwrap_or_default();
    if name.to_string_lossy().starts_with(".wh.") {
        bail!(
            "in an image's layer a name that begins with .wh. takes a file away; rename it, or name it in .dockerignore"
        );
    }
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        let mut path = PathBuf::from(path);
        path.push("");
        archive.append_data(&mut header, path, io::empty())?;
    } else if metadata.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        archive.append_link(&mut header, path, fs::read_link(root.join(path))?)?;
    } else if metadata.is_file() {
        let file = fs::File::open(root.join(path))?;
        // As it is now: another may be writing to it.
        let length = file.metadata()?.len();
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        archive.append_data(&mut header, path, io::Read::take(file, length))?;
    }
    // Sockets, pipes and devices are nothing that an image is made of.
    Ok(())
}

struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(bytes.to_vec());
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
