//! Dispositions of signals (sigaction(2)).

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, signal};

/// Gives a signal its default action again.
///
/// # Errors
/// `EINVAL` for SIGKILL and SIGSTOP.
pub fn restore_default(which: Signal) -> Result<(), Errno> {
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(which, SigHandler::SigDfl) }.map(drop)
}

/// Ignores a signal; ignoring SIGCHLD makes the kernel reap children by itself.
///
/// # Errors
/// `EINVAL` for SIGKILL and SIGSTOP.
pub fn ignore(which: Signal) -> Result<(), Errno> {
    // SAFETY: ignoring runs no code of ours.
    unsafe { signal(which, SigHandler::SigIgn) }.map(drop)
}
