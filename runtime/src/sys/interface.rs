//! One network interface's flags (netdevice(7)): enough to bring `lo` up without a netlink library in the shim.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::check;

/// Brings an interface up in the network namespace that `socket` was made in.
///
/// # Errors
/// `ENODEV` when there is none of the name; `EINVAL` when the name is 16 bytes or longer.
pub fn bring_up(socket: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    // SAFETY: all fields are plain data, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::EINVAL);
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    // SAFETY: the kernel reads the name and writes the flags into the same, live ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) }.into())?;
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: the kernel reads the ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}
