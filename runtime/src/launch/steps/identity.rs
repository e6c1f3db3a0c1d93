//! From root of the host to the container's user: limits, groups, user, capabilities, filters.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::resource::{getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::capabilities;
use crate::launch::plan::{ProcessPlan, Rlimit};
use crate::launch::report::{Failure, InStep, Message, Reporter};
use crate::sys;

/// Becomes the container's user with its rights and no more.
pub(crate) fn assume(process: &ProcessPlan, reporter: Reporter<'_>) -> Result<(), Failure> {
    process
        .rlimits
        .iter()
        .try_for_each(|limit| set_limit(limit, reporter))?;
    if process.no_new_privs {
        nix::sys::prctl::set_no_new_privs().step("set no_new_privs", "")?;
    } else {
        // Without no_new_privs a filter wants CAP_SYS_ADMIN, which is about to go; with it, it comes last (see `seal`).
        load_filters(process, reporter)?;
    }
    capabilities::limit(&process.capabilities, process.last_capability)?;
    // Changing the user away from root would else clear the permitted set, from which the wanted ones are taken.
    nix::sys::prctl::set_keepcaps(true).step("keep capabilities", "")?;
    let groups: Vec<Gid> = process.groups.iter().copied().map(Gid::from_raw).collect();
    match setgroups(&groups) {
        // In a user namespace of an ordinary user nobody may give groups up, as that can open what they are kept from
        // (user_namespaces(7)); those he has mean nothing in there.
        Err(Errno::EPERM) if groups.is_empty() && sys::users::groups_are_kept() => {}
        other => other.step("set groups", format!("{:?}", process.groups))?,
    }
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    setresgid(gid, gid, gid).step("set group", process.gid.to_string())?;
    setresuid(uid, uid, uid).step("set user", process.uid.to_string())?;
    nix::sys::prctl::set_keepcaps(false).step("keep capabilities", "")?;
    capabilities::apply(&process.capabilities, reporter)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(process.umask));
    Ok(())
}

/// The last restrictions before execve.
pub(crate) fn seal(process: &ProcessPlan, reporter: Reporter<'_>) -> Result<(), Failure> {
    if process.no_new_privs {
        load_filters(process, reporter)
    } else {
        Ok(())
    }
}

/// The descriptor of a filter that notifies goes to the parent, who knows the agent that listens.
fn load_filters(process: &ProcessPlan, reporter: Reporter<'_>) -> Result<(), Failure> {
    for filter in &process.seccomp {
        let listener =
            sys::seccomp::load(&filter.program, filter.flags, filter.notifies).step("load seccomp filter", "")?;
        if let Some(listener) = listener {
            reporter.send(&Message::Listener, &[listener.as_fd()]);
        }
    }
    Ok(())
}

/// A higher hard limit than our own needs CAP_SYS_RESOURCE; where that is refused, the most that is allowed is set.
fn set_limit(limit: &Rlimit, reporter: Reporter<'_>) -> Result<(), Failure> {
    let (soft, hard) = limit.limits;
    match setrlimit(limit.resource, soft, hard) {
        Err(Errno::EPERM) => {
            let (_, own) = getrlimit(limit.resource).step("read limit", &limit.name)?;
            reporter.note(format!(
                "{} {hard} is refused by this host (no CAP_SYS_RESOURCE): {own} is set",
                limit.name
            ));
            setrlimit(limit.resource, soft.min(own), own).step("set limit", &limit.name)
        }
        other => other.step("set limit", &limit.name),
    }
}
