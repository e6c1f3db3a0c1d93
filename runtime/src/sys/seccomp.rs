//! Loading a compiled seccomp filter (seccomp(2)).

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use seccompiler::sock_filter;

use super::check;

/// Whether the kernel takes filters: without a program it answers EFAULT if so, and EINVAL if not.
#[must_use]
pub fn available() -> bool {
    let program: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: the kernel reads the program by copy_from_user, which fails on a null pointer without harm.
    let answer = check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, program) }.into());
    answer == Err(Errno::EFAULT)
}

/// Installs a filter for the calling thread. Wants no_new_privs or CAP_SYS_ADMIN. `flags` are `SECCOMP_FILTER_FLAG_*`; one
/// that notifies gives the descriptor to listen on.
///
/// # Errors
/// `EACCES` without either, `EINVAL` for an invalid program or a kernel without seccomp, `EBUSY` when there is a listener.
pub fn load(program: &[sock_filter], flags: u64, notifies: bool) -> Result<Option<OwnedFd>, Errno> {
    let flags = if notifies {
        flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
    } else {
        flags
    };
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: seccompiler's sock_filter is repr(C) like the kernel's; the kernel copies the program and writes nothing.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })?;
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER the call returns a new descriptor, which nobody else owns.
    Ok(notifies.then(|| unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptors are small")) }))
}
