//! `pause` and `resume`: the clock of all processes stopped, and let go on.

use std::time::{Duration, Instant};

use super::flags::Given;
use super::{CommandError, Context, Outcome, Verb};
use crate::cgroup::CgroupPath;
use crate::oci::Status;

pub(super) const PAUSE: Verb = Verb {
    name: "pause",
    about: "freeze all processes of a container",
    flags: &[],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: |context, given| change(context, given, true),
    failure: 1,
};

pub(super) const RESUME: Verb = Verb {
    name: "resume",
    about: "let all processes of a frozen container go on",
    flags: &[],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: |context, given| change(context, given, false),
    failure: 1,
};

/// How long the kernel may take to stop processes that are busy in it.
const PATIENCE: Duration = Duration::from_secs(10);

fn change(context: &Context, given: &Given, freeze: bool) -> Outcome {
    let (_, record) = context.container(given)?;
    let driver = context.cgroups()?;
    let status = record.status(Some(driver.as_ref()));
    let verb = if freeze { "pause" } else { "resume" };
    let fits = match status {
        Status::Paused => !freeze,
        Status::Running | Status::Created => freeze,
        Status::Stopped | Status::Creating => false,
    };
    if !fits {
        return Err(CommandError::Status {
            verb,
            status: status.word(),
        });
    }
    let path: CgroupPath = record
        .cgroup()
        .ok_or(CommandError::Refused(verb, "the container has no cgroup of its own"))?;
    driver.freeze(&path, freeze)?;
    let begin = Instant::now();
    // Neither version wakes anybody who waits for this on v1; it is a matter of microseconds.
    while driver.frozen(&path) == Some(!freeze) {
        if begin.elapsed() > PATIENCE {
            let _ = driver.freeze(&path, false);
            return Err(CommandError::System {
                act: "wait until all processes are frozen",
                errno: nix::errno::Errno::ETIMEDOUT,
            });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(0)
}
