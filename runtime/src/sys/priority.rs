//! Priority of threads: `nix` has no setpriority(2).

use nix::errno::Errno;

use super::check;

/// Makes the calling thread give way to all others: on the CPU and, since the kernel derives the one from the other where
/// nothing else was asked for (ioprio_set(2)), on the disk.
///
/// # Errors
/// None that Linux documents for lowering one's own.
pub fn lowest_for_this_thread() -> Result<(), Errno> {
    const THIS_THREAD: libc::id_t = 0;
    const LOWEST: libc::c_int = 19;
    // SAFETY: integers only. On Linux, unlike in POSIX, 0 means the calling thread (setpriority(2)).
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD, LOWEST) };
    check(result.into()).map(drop)
}
