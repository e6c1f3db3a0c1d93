//! Paths inside the container's root, never outside: an image may hold any symbolic link.
//!
//! `RESOLVE_IN_ROOT` makes the kernel treat the root descriptor as `/` for absolute links and `..` alike (openat2(2),
//! Linux 5.6), so there is no moment between check and use.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, makedev, mkdirat};

/// What to make when a mount's destination isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Directory,
    File,
}

/// Opens what stands at `path` as a path descriptor.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open_with(root, path, OFlag::O_PATH)
}

/// Opens what stands at `path` with the given flags.
pub(crate) fn open_with(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    // EAGAIN: something was renamed meanwhile and the kernel couldn't tell whether the path stays inside.
    loop {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) => {}
            other => return other,
        }
    }
}

/// Opens what stands at `path` itself, on a way without any link: ELOOP where there is one.
pub(crate) fn open_plain(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC);
    openat2(
        root,
        path,
        how.resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS),
    )
}

/// Opens a file of the procfs at /proc. Of anything else there nothing is opened: a write would change who knows what
/// (CVE-2019-16884, CVE-2025-52881).
pub(crate) fn open_in_proc(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let file = open_plain(root, path, flags)?;
    match nix::sys::statfs::fstatfs(&file)?.filesystem_type() {
        nix::sys::statfs::PROC_SUPER_MAGIC => Ok(file),
        _ => Err(Errno::EMEDIUMTYPE),
    }
}

/// Opens the container's null device, and nothing else that an image or a container has put there: a link to a file of the
/// kernel would take the place of a stream, or of what is to be hidden (CVE-2025-31133).
pub(crate) fn null_device(flags: OFlag) -> Result<OwnedFd, Errno> {
    let null = open_with(
        current_root()?.as_fd(),
        Path::new("dev/null"),
        flags | OFlag::O_NOFOLLOW,
    )?;
    let stat = nix::sys::stat::fstat(&null)?;
    let is_null = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == makedev(1, 3);
    if is_null { Ok(null) } else { Err(Errno::ENODEV) }
}

/// Opens what stands at `path`, making it and its parents when they aren't there.
///
/// A link that leads to nothing (an image's /etc/resolv.conf often does) has made what it leads to, in the root as ever.
pub(crate) fn open_or_make(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd, Errno> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match open(root, &path) {
            Err(Errno::ENOENT) => {}
            other => return other,
        }
        let (parent, name) = make_parents(root, &path)?;
        match make(&parent, name, missing) {
            Err(Errno::EEXIST) => {}
            other => return other.and_then(|()| open(root, &path)),
        }
        let target = match readlinkat(&parent, name) {
            // Somebody else has just made it.
            Err(Errno::EINVAL) => continue,
            other => PathBuf::from(other?),
        };
        // Joined, not shortened: what `..` means in there is the kernel's to say.
        path = match target.strip_prefix("/") {
            Ok(absolute) => absolute.to_owned(),
            Err(_) => path.parent().unwrap_or(Path::new("")).join(target),
        };
    }
    Err(Errno::ELOOP)
}

/// How many links that lead to nothing are followed.
const MAX_LINKS: u32 = 8;

fn make(parent: &OwnedFd, name: &OsStr, missing: Missing) -> Result<(), Errno> {
    match missing {
        Missing::Directory => mkdirat(parent, name, Mode::from_bits_truncate(0o755)),
        Missing::File => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
        }
    }
}

/// Opens the parent of `path`, making what isn't there; returns it with the last name.
pub(crate) fn make_parents<'p>(root: BorrowedFd<'_>, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
    let name = path.file_name().ok_or(Errno::EINVAL)?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let parent = match open_with(root, parent, OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT) => open_or_make(root, parent, Missing::Directory)?,
        other => other?,
    };
    Ok((parent, name))
}

/// The current root directory.
pub(crate) fn current_root() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/", flags, Mode::empty())
}

/// Whether a path descriptor stands for a directory.
pub(crate) fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    let kind = nix::sys::stat::fstat(fd)?.st_mode & libc::S_IFMT;
    Ok(kind == libc::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_link_leads_to_is_made_inside() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join("root").join(name);
        fs::create_dir_all(at("etc")).expect("a directory");
        for (name, target) in [
            ("etc/absolute", "/run/made"),
            ("etc/relative", "../run/also"),
            ("etc/out", "../../../../outside"),
            ("etc/loop", "loop"),
            ("chain", "etc/absolute-too"),
            ("etc/absolute-too", "/deep/er"),
        ] {
            symlink(target, at(name)).expect("a link");
        }
        let root = fs::File::open(directory.path().join("root")).expect("the root");
        let make = |path: &str, missing| open_or_make(root.as_fd(), Path::new(path), missing).map(drop);
        assert_eq!(make("etc/absolute", Missing::File), Ok(()));
        assert_eq!(make("etc/relative", Missing::Directory), Ok(()));
        assert_eq!(make("etc/out", Missing::File), Ok(()));
        assert_eq!(make("chain", Missing::Directory), Ok(()));
        assert_eq!(make("etc/loop", Missing::File), Err(Errno::ELOOP));
        assert!(
            at("run/made").is_file() && at("run/also").is_dir() && at("outside").is_file() && at("deep/er").is_dir()
        );
        assert!(!directory.path().join("outside").exists());
    }
}
