//! Processes by descriptor: a pidfd names one process for good, a pid only until it is reused.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::check;

/// Opens a pidfd (pidfd_open(2), Linux 5.3).
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).expect("descriptors are small")) })
}

/// Sends a signal by number, real-time ones included (pidfd_send_signal(2)).
///
/// # Errors
/// `ESRCH` when the process has ended, `EINVAL` for no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is allowed and means the same as kill(2).
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) }).map(drop)
}
