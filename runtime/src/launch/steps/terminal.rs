//! Standard streams: those given, or a pseudo-terminal of the container's own /dev/pts.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown};

use super::resolve::{self, Missing};
use crate::launch::parent::Stdio;
use crate::launch::report::{Failure, InStep, Message, Reporter};
use crate::sys::mounts::{move_mount, open_tree_of};
use crate::sys::{descriptors, terminal};

/// Opens a pseudo-terminal, sends its master to the parent and makes the slave the controlling terminal and stdio.
///
/// `console` asks for it at /dev/console too, which belongs to the container's first process.
pub(crate) fn allocate(size: (u16, u16), uid: u32, console: bool, reporter: Reporter<'_>) -> Result<(), Failure> {
    let root = resolve::current_root().step("open the root", "/")?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let master = resolve::open_with(root.as_fd(), Path::new("dev/pts/ptmx"), flags).step("open", "/dev/pts/ptmx")?;
    let slave = terminal::open_slave(master.as_fd()).step("open terminal", "/dev/pts")?;
    terminal::resize(slave.as_fd(), size.0, size.1).step("resize terminal", "/dev/pts")?;
    give(slave.as_fd(), uid)?;
    reporter.send(&Message::Terminal, &[master.as_fd()]);
    terminal::set_controlling(slave.as_fd()).step("set controlling terminal", "/dev/pts")?;
    if console {
        let at = Path::new("dev/console");
        resolve::open_or_make(root.as_fd(), at, Missing::File).step("make", "/dev/console")?;
        // What hides paths comes later: a link must not make the terminal stand for one of them (CVE-2025-52565).
        let target = resolve::open_plain(root.as_fd(), at, OFlag::O_PATH).step("bind", "/dev/console")?;
        let tree = open_tree_of(slave.as_fd(), false).step("bind", "/dev/console")?;
        move_mount(tree.as_fd(), target.as_fd()).step("bind", "/dev/console")?;
    }
    (0..=2)
        .try_for_each(|number| descriptors::install_stdio(slave.as_fd(), number))
        .step("install stdio", "terminal")
}

/// Gives the streams to the container's user, by his number on the host.
pub(crate) fn give_away(stdio: &Stdio, uid: u32) -> Result<(), Failure> {
    let streams = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
    streams.into_iter().flatten().try_for_each(|fd| give(fd.as_fd(), uid))
}

/// Installs the streams given; a missing one becomes /dev/null.
pub(crate) fn install(stdio: &Stdio) -> Result<(), Failure> {
    for (number, stream) in (0..).zip([&stdio.stdin, &stdio.stdout, &stdio.stderr]) {
        let null;
        let fd = if let Some(stream) = stream {
            stream
        } else {
            null = resolve::null_device(OFlag::O_RDWR).step("open the null device", "/dev/null")?;
            &null
        };
        descriptors::install_stdio(fd.as_fd(), number).step("install stdio", number.to_string())?;
    }
    Ok(())
}

/// The container's user may open /dev/stdout anew, which the kernel checks against the owner of the pipe or terminal.
fn give(fd: BorrowedFd<'_>, uid: u32) -> Result<(), Failure> {
    // The host's null device is everybody's.
    let null = nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_rdev == nix::sys::stat::makedev(1, 3));
    if null {
        return Ok(());
    }
    match fchown(fd, Some(Uid::from_raw(uid)), None::<Gid>) {
        // Not everything that can be a standard stream has an owner.
        Ok(()) | Err(Errno::EINVAL | Errno::EPERM | Errno::EROFS) => Ok(()),
        Err(errno) => Err(Failure::new("give stdio to the user", uid.to_string(), errno)),
    }
}
