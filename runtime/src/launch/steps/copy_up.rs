//! A tmpfs that begins with what it covers (`tmpcopyup`): an image's files, made anew in memory with their owners and modes.
//!
//! Everything is reached by descriptors, so no link of the image's is followed. What is neither file, directory nor link is
//! left out, and so is what is more than a few thousand entries or 64 MB: an image may hold anything.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

/// How much is copied at most.
struct Left {
    entries: u32,
    bytes: u64,
    depth: u32,
}

/// Copies what is below `from` to below `to`.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut left = Left {
        entries: 10_000,
        bytes: 64 << 20,
        depth: 64,
    };
    let source = directory(from, Path::new("."))?;
    let stat = nix::sys::stat::fstat(&source)?;
    directory_below(source, to, &mut left)?;
    let root = directory(to, Path::new("."))?;
    nix::sys::stat::fchmod(&root, Mode::from_bits_truncate(stat.st_mode & 0o7777))?;
    nix::unistd::fchown(
        &root,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )
}

fn directory(at: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, Errno> {
    openat(
        at,
        name,
        OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

fn directory_below(source: OwnedFd, to: BorrowedFd<'_>, left: &mut Left) -> Result<(), Errno> {
    let from = source.try_clone().map_err(|_| Errno::EMFILE)?;
    let mut entries = Dir::from_fd(source)?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        left.entries = left.entries.checked_sub(1).ok_or(Errno::E2BIG)?;
        let name = Path::new(std::ffi::OsStr::new(name.to_str().map_err(|_| Errno::EILSEQ)?));
        copy_one(from.as_fd(), to, name, left)?;
    }
    Ok(())
}

fn copy_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &Path, left: &mut Left) -> Result<(), Errno> {
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            left.depth = left.depth.checked_sub(1).ok_or(Errno::ELOOP)?;
            mkdirat(to, name, Mode::S_IRWXU)?;
            let below = directory(to, name)?;
            directory_below(directory(from, name)?, below.as_fd(), left)?;
            left.depth += 1;
        }
        libc::S_IFREG => file(from, to, name, left)?,
        libc::S_IFLNK => {
            symlinkat(readlinkat(from, name)?.as_os_str(), to, name)?;
            return own(to, name, &stat);
        }
        _ => return Ok(()),
    }
    own(to, name, &stat)?;
    // After the owner, since changing that takes set-user-ID bits away.
    fchmodat(
        to,
        name,
        Mode::from_bits_truncate(stat.st_mode & 0o7777),
        FchmodatFlags::FollowSymlink,
    )
}

fn own(to: BorrowedFd<'_>, name: &Path, stat: &FileStat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &Path, left: &mut Left) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut source = std::fs::File::from(openat(from, name, flags, Mode::empty())?);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut target = std::fs::File::from(openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = source.read(&mut buffer).map_err(errno)?;
        if length == 0 {
            return Ok(());
        }
        left.bytes = left.bytes.checked_sub(length as u64).ok_or(Errno::EFBIG)?;
        target.write_all(&buffer[..length]).map_err(errno)?;
    }
}
