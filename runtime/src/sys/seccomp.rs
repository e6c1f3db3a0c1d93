//! Loading a compiled seccomp filter (prctl(2), PR_SET_SECCOMP).

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

/// Installs a filter for the calling thread. Wants no_new_privs or CAP_SYS_ADMIN.
///
/// # Errors
/// `EACCES` without either, `EINVAL` for an invalid program or a kernel without seccomp.
pub fn load(program: &[sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: seccompiler's sock_filter is repr(C) like the kernel's; the kernel copies the program and writes nothing.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }.into()).map(drop)
}
