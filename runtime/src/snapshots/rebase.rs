//! Joins a layer to the layers below it, after both were unpacked by themselves.
//!
//! Most layers need nothing. A directory that a layer passes through without an entry of its own takes owner, mode and times
//! from below, since overlayfs shows those of the topmost part. Where such a directory is a symbolic link below (`lib/x` upon
//! `lib -> usr/lib`), what the layer put into it moves to where the link leads. A hard link to a file of a lower layer gets
//! a copy of that file to link to, as overlayfs' copy-up would.
//!
//! The layer is as hostile as its author: where a path of it passes through a directory, it may have a symbolic link that
//! leads to the host's files. So nothing in it is reached by its path, but by `own`: the directory is opened beneath the
//! layer's own without following links, and what is done there is done to one name in it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::error::{SnapshotError, failing};
use super::merged;
use crate::images::unpack::{LinkBelow, UnpackError, Unpacked};
use crate::sys::xattr;

pub(super) fn onto(lower: &[PathBuf], content: &Path, unpacked: &Unpacked) -> Result<(), SnapshotError> {
    if lower.is_empty() && unpacked.links_below.is_empty() {
        return Ok(());
    }
    let opened = open(content, DIRECTORY, Mode::empty()).map_err(io::Error::from);
    let rebase = Rebase {
        lower,
        content: opened.map_err(failing("open", content))?,
    };
    let mut moved = Vec::new();
    let mut implicit: VecDeque<PathBuf> = unpacked.implicit.iter().cloned().collect();
    while let Some(path) = implicit.pop_front() {
        let path = after(&moved, &path);
        match merged::look_up(lower, &path) {
            Some(seen) if seen.metadata.is_dir() => {
                let own = rebase.own_directory(&path)?;
                copy_attributes(&seen.path, &seen.metadata, &own.at)
                    .map_err(failing("copy owner and mode to", &path))?;
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

const DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

struct Rebase<'a> {
    lower: &'a [PathBuf],
    /// The layer's own directory.
    content: OwnedFd,
}

/// Something in the layer, by a path that leads there and nowhere else as long as this is kept.
struct Own {
    at: PathBuf,
    _directory: OwnedFd,
}

impl Rebase<'_> {
    /// A directory that the layer has.
    fn own_directory(&self, path: &Path) -> Result<Own, SnapshotError> {
        let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(DIRECTORY).resolve(beneath);
        let relative = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let directory = openat2(&self.content, relative, how).map_err(|errno| match errno {
            Errno::ELOOP | Errno::ENOTDIR => no_directory(path),
            errno => failing("open", path)(io::Error::from(errno)),
        })?;
        Ok(Own {
            // The dot makes it the directory, not the link in /proc, for those who don't follow links.
            at: PathBuf::from(format!("/proc/self/fd/{}/.", directory.as_raw_fd())),
            _directory: directory,
        })
    }

    /// A name in a directory that the layer has.
    fn own(&self, path: &Path) -> Result<Own, SnapshotError> {
        let mut own = self.own_directory(path.parent().unwrap_or(Path::new("")))?;
        own.at.push(path.file_name().unwrap_or(OsStr::new(".")));
        Ok(own)
    }

    /// Moves what the layer has at `path` to where the link below leads.
    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, SnapshotError> {
        let Some(target) = merged::resolve(self.lower, path).filter(|target| target != path) else {
            return Ok(None);
        };
        // A link that leads into the directory itself would move it into itself: such an image can't work anyhow.
        if target.starts_with(path) || merged::look_up(self.lower, &target).is_some_and(|seen| !seen.metadata.is_dir())
        {
            return Err(no_directory(path));
        }
        self.make_directories(&target)?;
        let (from, to) = (self.own(path)?, self.own_directory(&target)?);
        merge(&from.at, &to.at).map_err(failing("move a layer's directory to", &target))?;
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
        self.make_directories(&directory)?;
        let own = self.own(&target)?;
        if fs::symlink_metadata(&own.at).is_err() {
            let seen = merged::look_up(self.lower, &target)
                .filter(|seen| seen.metadata.is_file() || seen.metadata.is_symlink())
                .ok_or_else(without_target)?;
            copy_up(&seen, &own.at).map_err(failing("copy up", &target))?;
        }
        fs::hard_link(&own.at, &self.own(link)?.at).map_err(failing("make hard link", link))
    }

    /// Makes directories in the layer as they are below.
    fn make_directories(&self, path: &Path) -> Result<(), SnapshotError> {
        let mut so_far = PathBuf::new();
        for name in path.components() {
            so_far.push(name);
            let own = self.own(&so_far)?;
            match fs::create_dir(&own.at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(failing("make", &so_far))?,
            }
            if let Some(seen) = merged::look_up(self.lower, &so_far) {
                copy_attributes(&seen.path, &seen.metadata, &own.at)
                    .map_err(failing("copy owner and mode to", &so_far))?;
            }
        }
        Ok(())
    }
}

fn no_directory(path: &Path) -> SnapshotError {
    let path = path.display().to_string();
    UnpackError::ParentIsNoDirectory { path }.into()
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
