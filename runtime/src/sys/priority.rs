//! Priority of threads on the CPU and the disk, and their personality: `nix` lacks these calls.

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

/// `struct sched_attr` of sched_setattr(2), as of its first version.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Bytes of this struct; filled in by [`schedule`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// For SCHED_DEADLINE, in nanoseconds, as the two below.
    pub runtime: u64,
    /// Until when it has to have run.
    pub deadline: u64,
    /// How often.
    pub period: u64,
}

/// Sets the calling thread's scheduling policy.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE, `EINVAL` for what the kernel doesn't know.
pub fn schedule(attributes: &Scheduling) -> Result<(), Errno> {
    let attributes = Scheduling {
        size: size_of::<Scheduling>() as u32,
        ..*attributes
    };
    // SAFETY: the kernel reads as many bytes as `size` says, which is the struct's own.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// Sets the calling thread's priority on the disk: the class in the bits from 13 on, the level below (ioprio_set(2)).
///
/// # Errors
/// `EPERM` for a class that wants CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn disk(priority: i32) -> Result<(), Errno> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: integers only; 0 is the calling thread.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) }).map(drop)
}

/// Sets the calling process's execution domain (personality(2)).
///
/// # Errors
/// `EINVAL` when the kernel can't.
pub fn personality(persona: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::personality(persona.into()) }.into()).map(drop)
}

/// Binds the calling thread to CPUs (sched_setaffinity(2)).
///
/// # Errors
/// `EINVAL` when none of them is there, or none allowed by the cpuset.
pub fn run_on(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = nix::sched::CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
}
