//! clone3(2) as a fork that also creates namespaces, joins a cgroup and returns a pidfd.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::check;

/// The libc crate's constant of this name is an overflowing `c_int`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the new process is born with.
#[derive(Debug, Default)]
pub struct CloneArgs<'a> {
    /// `CLONE_NEW*` flags, and nothing that shares memory.
    pub namespaces: u64,
    /// Directory of a cgroup v2 to be born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A process just cloned.
#[derive(Debug)]
pub struct Cloned {
    /// Its id in the caller's pid namespace.
    pub pid: Pid,
    /// A descriptor for it, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Runs `child` in a new process, which ends with what `child` returns as its exit code.
///
/// # Errors
/// `EBUSY` when the calling process has more than one thread: the child gets a copy of all memory but only of the calling
/// thread, so a lock that another thread holds would stay locked in it for ever. Else what clone3(2) says.
pub fn clone_child(args: &CloneArgs<'_>, child: impl FnOnce() -> i32) -> Result<Cloned, Errno> {
    if !single_threaded() {
        return Err(Errno::EBUSY);
    }
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all fields are integers, for which zero is a valid value and means "not asked for".
    let mut raw: libc::clone_args = unsafe { std::mem::zeroed() };
    raw.flags = args.namespaces | libc::CLONE_PIDFD as u64;
    raw.pidfd = (&raw mut pidfd) as u64;
    raw.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = args.cgroup {
        raw.flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `raw` is a valid clone_args of the size given and `pidfd` outlives the call. Neither CLONE_VM nor a stack is
    // passed, so parent and child each go on with their own copy of this frame, as after fork(2); the process has one
    // thread (checked above), so the copy is consistent.
    let cloned = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<libc::clone_args>()) });
    let pid = match cloned {
        // Filtered out, as inside of some container runtimes. Joining a cgroup is what the old call can't do.
        Err(Errno::ENOSYS) if args.cgroup.is_none() => {
            let flags = raw.flags | raw.exit_signal;
            // SAFETY: as above; the old call stores the pidfd where its parent_tid argument points.
            check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) })?
        }
        other => other?,
    };
    if pid == 0 {
        let code = child();
        // SAFETY: _exit doesn't return and runs no destructors, which belong to the parent.
        unsafe { libc::_exit(code) }
    }
    Ok(Cloned {
        pid: Pid::from_raw(i32::try_from(pid).expect("the kernel's process ids fit an i32")),
        // SAFETY: with CLONE_PIDFD the kernel stored a new descriptor there, which nobody else owns.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// Whether this process has exactly one thread: /proc/self/task then has one entry besides `.` and `..` (3 links).
pub(super) fn single_threaded() -> bool {
    std::fs::metadata("/proc/self/task").is_ok_and(|task| std::os::unix::fs::MetadataExt::nlink(&task) == 3)
}
