//! Joins a layer to the layers below it, after both were unpacked by themselves.
//!
//! Most layers need nothing. A directory that a layer passes through without an entry of its own takes owner, mode and times
//! from below, since overlayfs shows those of the topmost part. Where such a directory is a symbolic link below (`lib/x` upon
//! `lib -> usr/lib`), what the layer put into it moves to where the link leads. A hard link to a file of a lower layer gets
//! a copy of that file to link to, as overlayfs' copy-up would.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::error::{SnapshotError, failing};
use super::merged;
use crate::images::unpack::{LinkBelow, UnpackError, Unpacked};
use crate::sys::xattr;

pub(super) fn onto(lower: &[PathBuf], content: &Path, unpacked: &Unpacked) -> Result<(), SnapshotError> {
    if lower.is_empty() && unpacked.links_below.is_empty() {
        return Ok(());
    }
    let rebase = Rebase { lower, content };
    let mut moved = Vec::new();
    let mut implicit: VecDeque<PathBuf> = unpacked.implicit.iter().cloned().collect();
    while let Some(path) = implicit.pop_front() {
        let path = after(&moved, &path);
        match merged::look_up(lower, &path) {
            Some(seen) if seen.metadata.is_dir() => {
                let own = content.join(&path);
                copy_attributes(&seen.path, &seen.metadata, &own).map_err(failing("copy owner and mode to", &own))?;
            }
            Some(seen) if seen.metadata.is_symlink() => {
                if let Some(target) = rebase.follow(&path)? {
                    moved.push((path, target));
                }
            }
            _ => {}
        }
    }
    for link in &unpacked.links_below {
        rebase.link(&after(&moved, &link.link), link)?;
    }
    Ok(())
}

/// Where a path is after directories were moved.
fn after(moved: &[(PathBuf, PathBuf)], path: &Path) -> PathBuf {
    moved
        .iter()
        .fold(path.to_owned(), |path, (from, to)| match path.strip_prefix(from) {
            Ok(rest) => to.join(rest),
            Err(_) => path,
        })
}

struct Rebase<'a> {
    lower: &'a [PathBuf],
    content: &'a Path,
}

impl Rebase<'_> {
    /// Moves what the layer has at `path` to where the link below leads.
    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, SnapshotError> {
        let Some(target) = merged::resolve(self.lower, path).filter(|target| target != path) else {
            return Ok(None);
        };
        let (from, to) = (self.content.join(path), self.content.join(&target));
        // A link that leads into the directory itself would move it into itself: such an image can't work anyhow.
        if target.starts_with(path) || merged::look_up(self.lower, &target).is_some_and(|seen| !seen.metadata.is_dir())
        {
            return Err(UnpackError::ParentIsNoDirectory {
                path: path.display().to_string(),
            }
            .into());
        }
        self.make_directories(&target)?;
        merge(&from, &to).map_err(failing("move a layer's directory to", &to))?;
        Ok(Some(target))
    }

    fn link(&self, link: &Path, names: &LinkBelow) -> Result<(), SnapshotError> {
        let without_target = || UnpackError::LinkWithoutTarget {
            path: names.link.display().to_string(),
            target: names.target.display().to_string(),
        };
        // The directories of a hard link's target may be links; its last name is taken as it is, as link(2) does.
        let directory = names.target.parent().unwrap_or(Path::new(""));
        let directory = merged::resolve(self.lower, directory).ok_or_else(without_target)?;
        let target = directory.join(names.target.file_name().unwrap_or(OsStr::new("")));
        let own = self.content.join(&target);
        if fs::symlink_metadata(&own).is_err() {
            let seen = merged::look_up(self.lower, &target)
                .filter(|seen| seen.metadata.is_file() || seen.metadata.is_symlink())
                .ok_or_else(without_target)?;
            self.make_directories(target.parent().unwrap_or(Path::new("")))?;
            copy_up(&seen, &own).map_err(failing("copy up", &own))?;
        }
        let link = self.content.join(link);
        fs::hard_link(&own, &link).map_err(failing("make hard link", &link))
    }

    /// Makes directories in the layer as they are below.
    fn make_directories(&self, path: &Path) -> Result<(), SnapshotError> {
        let mut so_far = PathBuf::new();
        for name in path.components() {
            so_far.push(name);
            let own = self.content.join(&so_far);
            match fs::create_dir(&own) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(failing("make", &own))?,
            }
            if let Some(seen) = merged::look_up(self.lower, &so_far) {
                copy_attributes(&seen.path, &seen.metadata, &own).map_err(failing("copy owner and mode to", &own))?;
            }
        }
        Ok(())
    }
}

/// Moves all in `from` into `to`, directories into directories, and removes `from`.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    if merged::is_opaque(from) {
        xattr::set(&merged::c_path(to), c"trusted.overlay.opaque", b"y")?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let both_directories = entry.file_type()?.is_dir() && fs::symlink_metadata(&target).is_ok_and(|m| m.is_dir());
        if both_directories {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target)?;
        }
    }
    fs::remove_dir(from)
}

fn copy_up(seen: &merged::Seen, to: &Path) -> io::Result<()> {
    if seen.metadata.is_symlink() {
        symlink(fs::read_link(&seen.path)?, to)?;
        return lchown(to, Some(seen.metadata.uid()), Some(seen.metadata.gid()));
    }
    fs::copy(&seen.path, to)?;
    copy_attributes(&seen.path, &seen.metadata, to)
}

/// Owner, extended attributes, mode, times, in the order the kernel needs: changing the owner takes setuid away.
fn copy_attributes(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    for (name, value) in merged::attributes(from)? {
        xattr::set(&merged::c_path(to), &name, &value)?;
    }
    fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    File::open(to)?.set_times(
        FileTimes::new()
            .set_modified(metadata.modified()?)
            .set_accessed(metadata.accessed()?),
    )
}
