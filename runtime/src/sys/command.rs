//! What a child process does between fork and exec (std's `CommandExt::pre_exec`).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;

use super::clone::single_threaded;

/// Has `step` run in the child just before it executes the command's program; its error becomes that of the spawn.
///
/// # Errors
/// `EBUSY` when this process has more than one thread: the child would get a copy of all memory, with locks that other
/// threads hold, but none of those threads.
pub fn before_exec(
    command: &mut Command,
    step: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Result<(), Errno> {
    if !single_threaded() {
        return Err(Errno::EBUSY);
    }
    // SAFETY: the child is a copy of a process with one thread (checked above), so memory and locks are consistent in it
    // and `step` may do all that this process may.
    unsafe { command.pre_exec(step) };
    Ok(())
}
