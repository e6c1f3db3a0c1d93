//! Session keyrings (keyctl(2)).

use std::ffi::CStr;

use nix::errno::Errno;

use super::check;

/// Makes a session keyring of this name, or joins one that is there and allows it, and keeps it for this process.
///
/// # Errors
/// `ENOSYS` for a kernel without keys, `EDQUOT` when the user has too many.
pub fn join_session(name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` is NUL-terminated and outlives the call; the kernel only reads it.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) }).map(drop)
}
