//! Where the child waits on its way: for the hooks that its parent runs, and, when its container is to be made now and
//! started later, for whoever starts it.
//!
//! ```text
//!   create:  child ── Mounted ──> parent, who runs hooks ── packet ──> child ── Created ──> parent ends
//!   start:                                      connects to the door ──> child ── Executing ──> start ends
//! ```
//!
//! The door is a listening socket in the container's state directory. What fails between start and execve is told to the
//! one who started, over the connection; a pipe could only say that somebody is there.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockFlag, accept4};

use super::child::Prepared;
use super::plan::{Plan, ProcessPlan};
use super::report::{Failure, InStep, Message, Reporter, wait_for_parent};
use super::{diagnose, hooks};
use crate::oci::{State, Status};
use crate::sys::descriptors;

/// The hooks that run once everything is mounted and before the root is changed.
pub(super) fn hooks(plan: &Plan, prepared: &Prepared<'_>, reporter: Reporter<'_>) -> Result<(), Failure> {
    if plan.hooks.of_runtime {
        reporter.send(&Message::Mounted, &[]);
        wait_for_parent(prepared.status).step("wait for hooks", "createRuntime")?;
    }
    run(
        &plan.hooks.create_container,
        "createContainer",
        Status::Creating,
        prepared,
    )
}

/// Waits until somebody wants the command executed; he is told from then on. Without a door nobody is waited for.
pub(super) fn wait(plan: &Plan, prepared: &Prepared<'_>, reporter: Reporter<'_>) -> Result<Option<OwnedFd>, Failure> {
    let Some(door) = &prepared.manner.door else {
        return Ok(None);
    };
    look_for_command(&plan.process)?;
    reporter.send(&Message::Created, &[]);
    loop {
        match accept4(door.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            Err(Errno::EINTR) => {}
            other => {
                let visitor = other.step("wait to be started", "")?;
                return Ok(Some(descriptors::received(visitor)));
            }
        }
    }
}

/// The hooks that run in the container, just before its command.
pub(super) fn started(plan: &Plan, prepared: &Prepared<'_>) -> Result<(), Failure> {
    run(&plan.hooks.start_container, "startContainer", Status::Created, prepared)
}

fn run(
    of_moment: &[oci_spec::runtime::Hook],
    moment: &str,
    status: Status,
    prepared: &Prepared<'_>,
) -> Result<(), Failure> {
    if of_moment.is_empty() {
        return Ok(());
    }
    let state = State {
        status,
        pid: nix::unistd::getpid().as_raw(),
        ..prepared.manner.state.clone()
    };
    hooks::run(of_moment, &state).map_err(|error| {
        let mut failure = Failure::new("run hooks", moment, Errno::ECANCELED);
        failure.reason = error.to_string();
        failure
    })
}

/// A command that isn't there is an error of the making, not only of the start.
fn look_for_command(process: &ProcessPlan) -> Result<(), Failure> {
    let executable = |path: &std::ffi::CString| {
        nix::unistd::access(path.as_c_str(), nix::unistd::AccessFlags::X_OK)?;
        match nix::sys::stat::stat(path.as_c_str())?.st_mode & libc::S_IFMT {
            libc::S_IFREG => Ok(()),
            _ => Err(Errno::EACCES),
        }
    };
    let mut worst = Errno::ENOENT;
    // A relative one is looked for from the working directory, which is entered only later.
    for candidate in process
        .candidates
        .iter()
        .filter(|path| path.to_bytes().starts_with(b"/"))
    {
        match executable(candidate) {
            Ok(()) => return Ok(()),
            Err(Errno::EACCES) => worst = Errno::EACCES,
            Err(_) => {}
        }
    }
    let absolute = process.candidates.iter().all(|path| path.to_bytes().starts_with(b"/"));
    if absolute {
        Err(diagnose::explain(process, worst))
    } else {
        Ok(())
    }
}
