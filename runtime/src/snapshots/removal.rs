//! Removing a tree that somebody hostile may have made: a process can nest directories deeper than any path is long, and
//! what walks them with a stack frame and a descriptor a level, as the standard library does, runs out of one or the other.
//!
//! So what lies deeper than some levels is first moved up to the top, where the next round finds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Levels that are open at the same time.
const LEVELS: usize = 64;

/// Removes a file or a tree. What isn't there is removed already.
pub(crate) fn remove_path(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match nix::fcntl::open(path.parent().unwrap_or(Path::new("/")), flags, Mode::empty()) {
        Ok(parent) => remove(parent.as_fd(), name.as_encoded_bytes()),
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The same for a name in an opened directory.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    if !is_left_directory(parent, name)? {
        return Ok(());
    }
    let top = open(parent, name)?;
    while empty(&top, &top, 1)? > 0 {}
    Ok(unlinkat(parent, name, UnlinkatFlags::RemoveDir)?)
}

/// Removes what is in a directory; gives how many directories were too deep and moved to `top`.
fn empty(directory: &OwnedFd, top: &OwnedFd, level: usize) -> io::Result<usize> {
    let mut moved = 0;
    for entry in Dir::from_fd(open(directory.as_fd(), b".")?)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") || !is_left_directory(directory.as_fd(), name)? {
            continue;
        }
        if level == LEVELS {
            let place = uuid::Uuid::new_v4().simple().to_string();
            renameat2(directory, name, top, place.as_str(), RenameFlags::RENAME_NOREPLACE)?;
            moved += 1;
            continue;
        }
        moved += empty(&open(directory.as_fd(), name)?, top, level + 1)?;
        unlinkat(directory, name, UnlinkatFlags::RemoveDir)?;
    }
    Ok(moved)
}

/// Removes what is no directory; true for what is one.
fn is_left_directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(false),
        Err(Errno::EISDIR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::mkdirat;

    use super::*;

    /// A tree so deep that no path leads to its end.
    fn nest(path: &Path, levels: usize) {
        fs::create_dir(path).expect("made");
        let mut here: OwnedFd = fs::File::open(path).expect("opened").into();
        for _ in 0..levels {
            mkdirat(&here, "d", Mode::S_IRWXU).expect("made");
            here = open(here.as_fd(), b"d").expect("opened");
            drop(openat(&here, "f", OFlag::O_CREAT, Mode::S_IRWXU).expect("made"));
        }
    }

    #[test]
    fn depth_is_no_hindrance() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("deep");
        nest(&path, 6000);
        // As much stack as a thread of the daemon has, and less.
        let worker = std::thread::Builder::new().stack_size(512 << 10);
        let removed = worker.spawn(move || remove_path(&path)).expect("a thread").join();
        removed.expect("no panic").expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }

    #[test]
    fn files_links_and_nothing_at_all_are_removed() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let outside = tempfile::NamedTempFile::new().expect("a temporary file");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("tree/a/b")).expect("made");
        fs::write(at("tree/a/c"), "").expect("written");
        std::os::unix::fs::symlink(outside.path(), at("tree/link")).expect("a link");
        std::os::unix::fs::symlink(outside.path().parent().expect("a parent"), at("tree/a/b/link")).expect("a link");
        fs::write(at("file"), "").expect("written");
        for name in ["tree", "file", "nothing"] {
            remove_path(&at(name)).expect(name);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        assert!(outside.path().exists());
    }
}
