//! Terminals: window size, controlling terminal, and the other side of a pseudo-terminal (ioctl_tty(2)).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::check;

/// Sets the window size in characters; the foreground process group gets SIGWINCH.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn resize(terminal: BorrowedFd<'_>, width: u16, height: u16) -> Result<(), Errno> {
    let size = libc::winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel reads one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into()).map(drop)
}

/// The window's width and height in characters.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn size(terminal: BorrowedFd<'_>) -> Result<(u16, u16), Errno> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel fills one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    Ok((size.ws_col, size.ws_row))
}

/// Makes the terminal the controlling one of the calling session leader.
///
/// # Errors
/// `EPERM` when not a session leader.
pub fn set_controlling(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Unlocks a pseudo-terminal's slave and opens it without a path (TIOCSPTLCK, TIOCGPTPEER), whatever stands in /dev.
///
/// # Errors
/// `ENOTTY` when `master` is none.
pub fn open_slave(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let unlock: libc::c_int = 0;
    // SAFETY: the kernel reads one int.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) }.into())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: integers only.
    let fd = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) }.into())?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptors are small")) })
}
