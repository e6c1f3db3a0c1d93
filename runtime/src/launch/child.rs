//! What the new process does before it becomes the container's: a list of steps whose order is the point.
//!
//! It runs in a copy of the shim with one thread, so it may allocate; it must not return.

use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;

use super::parent::{ExecTarget, Manner, Stdio};
use super::plan::{Plan, ProcessPlan};
use super::report::{Failure, InStep, Message, Reporter};
use super::steps::{cgroup, devices, identity, mounts, namespaces, paths, scheduling, terminal, users};
use super::{diagnose, door};
use crate::sys::descriptors;
use crate::user_namespace::UserNamespace;

/// What the parent opened before the clone.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) manner: &'a Manner,
    pub(super) join: Vec<(CloneFlags, OwnedFd)>,
    /// The user namespace to enter.
    pub(super) users: Option<OwnedFd>,
    pub(super) cgroup_files: &'a [std::path::PathBuf],
    pub(super) stdio: Stdio,
    pub(super) status: BorrowedFd<'a>,
    /// The shim itself, as a pidfd.
    pub(super) shim: OwnedFd,
}

/// A container's first process.
pub(super) fn start(plan: &Plan, prepared: &Prepared<'_>) -> i32 {
    let reporter = Reporter(prepared.status);
    finish(start_steps(plan, prepared, reporter), reporter)
}

/// One more process in a running container.
pub(super) fn exec(process: &ProcessPlan, target: &ExecTarget<'_>, prepared: &Prepared<'_>) -> i32 {
    let reporter = Reporter(prepared.status);
    finish(exec_steps(process, target, prepared, reporter), reporter)
}

fn finish(result: Result<Infallible, Failure>, reporter: Reporter<'_>) -> i32 {
    let Err(failure) = result;
    reporter.send(&Message::Failed(failure), &[]);
    1
}

fn start_steps(plan: &Plan, prepared: &Prepared<'_>, reporter: Reporter<'_>) -> Result<Infallible, Failure> {
    hide()?;
    restore_signals()?;
    nix::unistd::setsid().step("begin session", "")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    if let Some(name) = &prepared.manner.keyring {
        namespaces::new_keyring(name)?;
    }
    scheduling::apply(&plan.process)?;
    cgroup::join(prepared.cgroup_files)?;
    if plan.cgroup_namespace {
        // Its root is the cgroup that the process is in by now.
        unshare(CloneFlags::CLONE_NEWCGROUP).step("unshare", "cgroup namespace")?;
    }
    for (kind, namespace) in &prepared.join {
        setns(namespace, *kind).step("join namespace", format!("{kind:?}"))?;
    }
    namespaces::furnish(plan)?;
    if let Some(value) = plan.process.oom_score_adj {
        paths::oom_score_adj(value, reporter)?;
    }
    let users = prepared.users.as_ref().map(AsFd::as_fd);
    let mut sources = mounts::open_sources(&plan.mounts, users)?;
    mounts::propagate(plan.propagation)?;
    mounts::open_layers(&plan.mounts, &mut sources, &plan.rootfs.target, users)?;
    let mut root = mounts::root(&plan.rootfs, users)?;
    mounts::make_exchangeable(&root, plan)?;
    give_streams(&plan.process, prepared, plan.users.as_ref().map(|(_, users)| users))?;
    if let Some(users) = users {
        root = users::enter(users, &root)?;
    }
    mounts::attach(root.as_fd(), &plan.mounts, sources)?;
    devices::make(root.as_fd(), plan.own_dev, &plan.devices)?;
    door::hooks(plan, prepared, reporter)?;
    if prepared.manner.no_pivot {
        mounts::move_root(&root)?;
    } else {
        mounts::pivot(&root)?;
    }
    mounts::propagate_root(plan.propagation)?;
    drop(root);
    paths::make_working_directory(&plan.process.cwd)?;
    paths::sysctls(&plan.sysctls)?;
    streams(&plan.process, prepared, true, reporter)?;
    paths::read_only(&plan.readonly_paths)?;
    paths::mask(&plan.masked_paths)?;
    if plan.rootfs.readonly {
        mounts::root_read_only()?;
    }
    let visitor = door::wait(plan, prepared, reporter)?;
    let reporter = visitor.as_ref().map_or(reporter, |visitor| Reporter(visitor.as_fd()));
    match door::started(plan, prepared).and_then(|()| become_process(&plan.process, prepared, reporter)) {
        Ok(never) => match never {},
        Err(failure) => {
            // Whoever waits behind the status socket may be gone by now.
            reporter.send(&Message::Failed(failure.clone()), &[]);
            Err(failure)
        }
    }
}

fn exec_steps(
    process: &ProcessPlan,
    target: &ExecTarget<'_>,
    prepared: &Prepared<'_>,
    reporter: Reporter<'_>,
) -> Result<Infallible, Failure> {
    hide()?;
    restore_signals()?;
    nix::unistd::setsid().step("begin session", "")?;
    scheduling::apply(process)?;
    cgroup::join(prepared.cgroup_files)?;
    scheduling::settle(process)?;
    if let Some(value) = process.oom_score_adj {
        paths::oom_score_adj(value, reporter)?;
    }
    give_streams(process, prepared, target.users)?;
    // All at once, by the container's own process: there is no path that could mean something else by now.
    setns(target.init, target.namespaces).step("join the container's namespaces", "")?;
    if target.users.is_some() {
        users::become_root()?;
    }
    streams(process, prepared, false, reporter)?;
    become_process(process, prepared, reporter)
}

/// Processes in the container may look at this one as soon as it has no more rights than they: not at one that is not
/// dumpable (proc(5), ptrace(2)). execve makes it so again.
fn hide() -> Result<(), Failure> {
    nix::sys::prctl::set_dumpable(false).step("hide from the container", "")
}

/// The shim blocks what it reads by signalfd, and ignores SIGPIPE; both would be inherited over execve.
fn restore_signals() -> Result<(), Failure> {
    nix::sys::signal::SigSet::empty()
        .thread_set_mask()
        .step("unblock signals", "")?;
    crate::sys::signals::restore_default(Signal::SIGPIPE).step("restore signal", "SIGPIPE")
}

fn streams(process: &ProcessPlan, prepared: &Prepared<'_>, first: bool, reporter: Reporter<'_>) -> Result<(), Failure> {
    match process.terminal {
        Some(size) => terminal::allocate(size, process.uid, first, reporter),
        None => terminal::install(&prepared.stdio),
    }
}

/// While this process may still give something away.
fn give_streams(process: &ProcessPlan, prepared: &Prepared<'_>, users: Option<&UserNamespace>) -> Result<(), Failure> {
    let on_host = users.map_or(Some(process.uid), |users| users.uids.on_host(process.uid));
    let on_host = on_host.ok_or_else(|| Failure::new("find user", process.uid.to_string(), Errno::EINVAL))?;
    terminal::give_away(&prepared.stdio, on_host)
}

fn become_process(
    process: &ProcessPlan,
    prepared: &Prepared<'_>,
    reporter: Reporter<'_>,
) -> Result<Infallible, Failure> {
    // As root, who may enter what the user may not; else as the user, who may enter what root may not (a network mount).
    let entered = paths::enter(&process.cwd);
    identity::assume(process, reporter)?;
    if entered.is_err() {
        paths::enter(&process.cwd).step("enter working directory", process.cwd.to_string_lossy().as_ref())?;
    }
    descriptors::close_on_exec_from(3 + prepared.manner.preserved).step("mark descriptors close-on-exec", "")?;
    if !prepared.manner.outlives_parent {
        die_with(prepared.shim.as_fd())?;
    }
    paths::label(process)?;
    reporter.send(&Message::Executing, &[]);
    identity::seal(process, reporter)?;
    let errno = execute(&process.candidates, process);
    Err(diagnose::explain(process, errno))
}

/// Changing the user clears it, so it comes after; and the parent may have ended before it was set.
fn die_with(shim: BorrowedFd<'_>) -> Result<(), Failure> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).step("ask to die with the shim", "")?;
    if has_ended(shim) {
        return Err(Failure::new("ask to die with the shim", "it has ended", Errno::ESRCH));
    }
    Ok(())
}

/// A pidfd becomes readable when its process ends.
fn has_ended(process: BorrowedFd<'_>) -> bool {
    let mut status = [PollFd::new(process, PollFlags::POLLIN)];
    nix::poll::poll(&mut status, PollTimeout::ZERO).unwrap_or(0) > 0
}

/// Tries each candidate; a file that may not be executed is remembered, and the search goes on, as execvp(3) does.
fn execute(candidates: &[impl AsRef<CStr>], process: &ProcessPlan) -> Errno {
    let mut worst = Errno::ENOENT;
    for candidate in candidates {
        match nix::unistd::execve(candidate.as_ref(), &process.argv, &process.env) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EACCES) if candidates.len() > 1 => worst = Errno::EACCES,
            Err(errno) => return errno,
            Ok(never) => match never {},
        }
    }
    worst
}
