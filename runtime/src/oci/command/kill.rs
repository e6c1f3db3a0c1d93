//! `kill`: a signal for the first process, or for all of them.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::flags::{Given, switch};
use super::{CommandError, Context, Outcome, Verb, signals};
use crate::oci::Status;
use crate::sys::pidfd;

pub(super) const KILL: Verb = Verb {
    name: "kill",
    about: "send a signal to a container (default: SIGTERM)",
    flags: &[switch("all", "a", "to all processes of the container")],
    arguments: (1, 3),
    wanted: "the container's id and at most a signal",
    run: kill,
    failure: 1,
};

fn kill(context: &Context, given: &Given) -> Outcome {
    let (_, record) = context.container(given)?;
    // As runc has it, the option may stand at the end, too.
    let (words, late): (Vec<&String>, Vec<&String>) = given.rest[1..]
        .iter()
        .partition(|word| !matches!(word.as_str(), "--all" | "-a"));
    let signal = signals::number(words.first().map_or("TERM", |word| word.as_str()))?;
    let all = given.is("all") || !late.is_empty();
    let cgroups = context.cgroups().ok();
    let status = record.status(cgroups.as_deref());
    if all && let (Some(driver), Some(path)) = (&cgroups, record.cgroup()) {
        if signal == libc::SIGKILL {
            driver.kill(&path)?;
        } else {
            // One that has ended meanwhile needs no signal; none at all is a container that has ended.
            for pid in driver.processes(&path).unwrap_or_default() {
                let _ = pidfd::open(pid).and_then(|process| pidfd::send_signal(process.as_fd(), signal));
            }
        }
    } else {
        if matches!(status, Status::Stopped | Status::Creating) {
            return Err(CommandError::NotRunning);
        }
        let sent = pidfd::open(Pid::from_raw(record.pid)).and_then(|process| {
            // The pid is the container's still, now that it can't be anybody else's any more.
            if record.alive() {
                pidfd::send_signal(process.as_fd(), signal)
            } else {
                Err(Errno::ESRCH)
            }
        });
        sent.map_err(|errno| match errno {
            Errno::ESRCH => CommandError::NotRunning,
            errno => CommandError::system("send signal")(errno),
        })?;
    }
    if signal == libc::SIGKILL
        && status == Status::Paused
        && let (Some(driver), Some(path)) = (&cgroups, record.cgroup())
    {
        // What is frozen on v1 can't even die.
        driver.freeze(&path, false)?;
    }
    Ok(0)
}
