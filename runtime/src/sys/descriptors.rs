//! Descriptors: closing all but a few, and sending them over a UNIX socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use super::check;

/// Most descriptors that one message carries.
pub const MAX_DESCRIPTORS: usize = 4;

/// Marks all descriptors from `first` on as close-on-exec (close_range(2), Linux 5.11 for the flag).
///
/// # Errors
/// `ENOSYS` or `EINVAL` on older kernels.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: nothing is closed now; that exec closes them is what every descriptor here is meant for.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Makes `number` (0, 1 or 2) a copy of `fd`, and kept over exec.
///
/// # Errors
/// What dup2(2) says.
pub fn install_stdio(fd: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    assert!((0..=2).contains(&number), "only standard streams have fixed numbers");
    if fd.as_raw_fd() == number {
        // SAFETY: integers only; dup2 onto itself would leave close-on-exec set.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: numbers 0 to 2 are never held as an OwnedFd by this project, so nobody's descriptor is replaced.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// Takes ownership of a descriptor that this process inherited under a known number.
///
/// # Errors
/// `EBADF` when there is none; `EINVAL` for a standard stream.
pub fn inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    if number <= 2 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: integers only; this checks that the descriptor exists, and keeps it from the children.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it exists, and the caller's contract with the process that started us makes it ours.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes ownership of a descriptor that a call of nix has just returned as a number.
///
/// # Panics
/// The number is that of a standard stream, which a new descriptor never gets here.
#[must_use]
pub fn received(number: RawFd) -> OwnedFd {
    assert!(number > 2, "the standard streams are open");
    // SAFETY: the kernel has just made this descriptor for the caller, who hands it over.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Sends bytes with descriptors in one message; returns how many bytes went.
///
/// # Errors
/// What sendmsg(2) says, never SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
}

/// Receives bytes with descriptors (close-on-exec); 0 bytes mean that the other end is closed.
///
/// # Errors
/// What recvmsg(2) says.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = part {
            // SAFETY: the kernel has just installed these descriptors for us, nobody else owns them.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}
