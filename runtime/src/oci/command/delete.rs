//! `delete`: what is left of a container that has ended.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::flags::{Given, switch};
use super::record::{Place, Record};
use super::{CommandError, Context, Outcome, Verb};
use crate::cgroup::{CgroupPath, Driver};
use crate::launch::hooks;
use crate::oci::Status;
use crate::sys::pidfd;

pub(super) const DELETE: Verb = Verb {
    name: "delete",
    about: "remove what is left of a container",
    flags: &[switch(
        "force",
        "f",
        "kill it first, and be content when it isn't there",
    )],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: delete,
    failure: 1,
};

/// How long a killed process may take to end.
const PATIENCE_MS: u16 = 10_000;

fn delete(context: &Context, given: &Given) -> Outcome {
    let force = given.is("force");
    let place = context.place(given)?;
    let record = match place.load() {
        Err(CommandError::NotFound) if force => {
            // Perhaps its making was interrupted.
            place.remove()?;
            return Ok(0);
        }
        other => other?,
    };
    let status = record.status(context.cgroups().ok().as_deref());
    match status {
        Status::Stopped => {}
        Status::Created | Status::Creating => end(context, &record, Signal::SIGKILL as i32)?,
        Status::Running | Status::Paused if force => end(context, &record, Signal::SIGKILL as i32)?,
        Status::Running | Status::Paused => {
            return Err(CommandError::NotStopped {
                id: record.id,
                status: status.word(),
            });
        }
    }
    clear(context, &place, &record)?;
    Ok(0)
}

/// Ends the first process and waits until it has ended.
pub(super) fn end(context: &Context, record: &Record, signal: i32) -> Result<(), CommandError> {
    let Ok(process) = pidfd::open(Pid::from_raw(record.pid)) else {
        return Ok(());
    };
    if !record.alive() {
        return Ok(());
    }
    let _ = pidfd::send_signal(process.as_fd(), signal);
    if let (Ok(driver), Some(path)) = (context.cgroups(), record.cgroup())
        && driver.frozen(&path) == Some(true)
    {
        driver.freeze(&path, false)?;
    }
    let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    match poll(&mut ended, PollTimeout::from(PATIENCE_MS)) {
        Ok(0) => Err(CommandError::System {
            act: "wait for the end of the container's first process",
            errno: nix::errno::Errno::ETIMEDOUT,
        }),
        other => other.map(drop).map_err(CommandError::system("wait for the end")),
    }
}

/// Removes the cgroup with all that is left in it, runs the last hooks, and forgets the container.
pub(super) fn clear(context: &Context, place: &Place, record: &Record) -> Result<(), CommandError> {
    if let (Ok(driver), Some(path)) = (context.cgroups(), record.cgroup()) {
        remove_cgroup(driver.as_ref(), &path)?;
    }
    let spec = place.spec().ok();
    let poststop = spec.as_ref().and_then(|spec| spec.hooks().as_ref()?.poststop().clone());
    if let Some(poststop) = poststop {
        let annotations = spec.and_then(|spec| spec.annotations().clone()).unwrap_or_default();
        let state = record.state(Status::Stopped, annotations);
        // The container is gone whatever they say (runtime.md, "Lifecycle").
        for hook in &poststop {
            if let Err(error) = hooks::run(std::slice::from_ref(hook), &state) {
                context.log.warn(&error.to_string());
            }
        }
    }
    place.remove()
}

/// A process that was killed is in its cgroup until the kernel has taken it out, which no file tells on v1.
fn remove_cgroup(driver: &dyn Driver, path: &CgroupPath) -> Result<(), CommandError> {
    const TRIES: u32 = 200;
    for _ in 0..TRIES {
        if driver.remove(path).is_ok() {
            return Ok(());
        }
        let _ = driver.freeze(path, false);
        driver.kill(path)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(driver.remove(path)?)
}
