//! The container's user namespace: made before the container is, by root for it, or by an ordinary user for himself.
//!
//! ```text
//!   root       a holder in a new user namespace, and in the other new namespaces that are to belong to it;
//!              the container joins them, and its users last
//!   rootless   this very process becomes root of a user namespace of its user, and goes on as any root does
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, getpid};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Spec};

use super::CommandError;
use crate::launch::Plan;
use crate::launch::holder::Holder;
use crate::sys::clone::{CloneArgs, clone_child};
use crate::user_namespace::{IdRange, UserNamespace};

/// Makes the user namespace that config.json wants, if it wants a new one, and has config.json say where it is. What is
/// given holds the namespaces until the container does.
pub(super) fn prepare(spec: &mut Spec) -> Result<Option<Held>, CommandError> {
    let Some(linux) = spec.linux().clone() else {
        return Ok(None);
    };
    let namespaces = linux.namespaces().clone().unwrap_or_default();
    let wanted = |namespace: &LinuxNamespace| namespace.typ() == LinuxNamespaceType::User && namespace.path().is_none();
    if !namespaces.iter().any(wanted) {
        return Ok(None);
    }
    let (holder, namespaces) = if nix::unistd::geteuid().is_root() {
        let (holder, namespaces) = hold(&linux, namespaces)?;
        (Some(holder), namespaces)
    } else {
        become_root(&linux)?;
        (
            None,
            namespaces.into_iter().filter(|namespace| !wanted(namespace)).collect(),
        )
    };
    let mut linux = linux;
    if holder.is_none() {
        linux.set_uid_mappings(None).set_gid_mappings(None);
    }
    linux.set_namespaces(Some(namespaces));
    spec.set_linux(Some(linux));
    Ok(holder)
}

/// Namespaces made beforehand.
pub(super) struct Held {
    _holder: Holder,
    flags: CloneFlags,
}

impl Held {
    /// To the container they are new ones, though it joins them: they begin with what new ones begin with.
    pub(super) fn furnish(&self, plan: &mut Plan, spec: &Spec) {
        plan.loopback = self.flags.contains(CloneFlags::CLONE_NEWNET);
        if self.flags.contains(CloneFlags::CLONE_NEWUTS) {
            plan.hostname.clone_from(spec.hostname());
            plan.domainname.clone_from(spec.domainname());
        }
    }
}

/// The namespaces whose owner decides what root of the container may do in them; it is his then.
fn hold(linux: &Linux, namespaces: Vec<LinuxNamespace>) -> Result<(Held, Vec<LinuxNamespace>), CommandError> {
    let range = |mappings: &Option<Vec<LinuxIdMapping>>| IdRange::of_oci(mappings.as_deref().unwrap_or_default());
    let (Some(uids), Some(gids)) = (range(linux.uid_mappings()), range(linux.gid_mappings())) else {
        return Err(CommandError::Refused(
            "linux.uidMappings",
            "a user namespace made by root has one mapping of users and one of groups, from 0",
        ));
    };
    let kind = |namespace: &LinuxNamespace| match namespace.typ() {
        LinuxNamespaceType::User => Some((CloneFlags::CLONE_NEWUSER, "ns/user")),
        LinuxNamespaceType::Network => Some((CloneFlags::CLONE_NEWNET, "ns/net")),
        LinuxNamespaceType::Ipc => Some((CloneFlags::CLONE_NEWIPC, "ns/ipc")),
        LinuxNamespaceType::Uts => Some((CloneFlags::CLONE_NEWUTS, "ns/uts")),
        _ => None,
    };
    let new = |namespace: &LinuxNamespace| kind(namespace).filter(|_| namespace.path().is_none());
    let flags = namespaces
        .iter()
        .filter_map(new)
        .fold(CloneFlags::empty(), |all, (flag, _)| all | flag);
    let holder = Holder::start(flags, Some(&UserNamespace { uids, gids }));
    let holder = holder.map_err(CommandError::file("make", "user namespace"))?;
    let held = namespaces.into_iter().map(|namespace| match new(&namespace) {
        Some((_, file)) => at(&namespace, holder.proc(file)),
        None => namespace,
    });
    let held = held.collect();
    let holder = Held { _holder: holder, flags };
    Ok((holder, held))
}

fn at(namespace: &LinuxNamespace, path: PathBuf) -> LinuxNamespace {
    let builder = LinuxNamespaceBuilder::default().typ(namespace.typ()).path(path);
    builder.build().expect("all fields have defaults")
}

/// Becomes root of a new user namespace. An ordinary user maps himself; for more numbers than his own, newuidmap(1) knows
/// what he was given (subuid(5)). Either has to be done from outside, by a process that stays behind.
fn become_root(linux: &Linux) -> Result<(), CommandError> {
    let failed = |act| CommandError::file(act, "user namespace");
    let own = getpid();
    let (uids, gids) = (linux.uid_mappings().clone(), linux.gid_mappings().clone());
    let (euid, egid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let (ready, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(CommandError::system("make pipe"))?;
    let helper = clone_child(&CloneArgs::default(), || {
        // The namespace is there when a byte comes.
        let mut byte = [0];
        if nix::unistd::read(&ready, &mut byte) != Ok(1) {
            return 1;
        }
        let mapped = map(own, "uid_map", "newuidmap", uids.as_deref().unwrap_or_default(), euid)
            .and_then(|()| map(own, "gid_map", "newgidmap", gids.as_deref().unwrap_or_default(), egid));
        match mapped {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("map users: {error}");
                1
            }
        }
    });
    let helper = helper.map_err(CommandError::system("clone"))?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(CommandError::system("make user namespace"))?;
    nix::unistd::write(&tell, b"u").map_err(CommandError::system("tell the helper"))?;
    match nix::sys::wait::waitpid(helper.pid, None) {
        Ok(nix::sys::wait::WaitStatus::Exited(_, 0)) => {}
        _ => return Err(failed("map users of")(io::Error::from_raw_os_error(libc::EPERM))),
    }
    let (uid, gid) = (nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    nix::unistd::setresgid(gid, gid, gid).map_err(CommandError::system("become root of the user namespace"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(CommandError::system("become root of the user namespace"))
}

fn map(of: Pid, file: &str, program: &str, mappings: &[LinuxIdMapping], own: u32) -> io::Result<()> {
    let path = |name: &str| Path::new("/proc").join(of.to_string()).join(name);
    if let [only] = mappings
        && only.host_id() == own
        && only.size() == 1
    {
        if file == "gid_map" {
            // Else nobody but root maps groups (user_namespaces(7)).
            fs::write(path("setgroups"), "deny")?;
        }
        return fs::write(path(file), format!("{} {own} 1\n", only.container_id()));
    }
    let mut command = Command::new(program);
    command.arg(of.to_string());
    for mapping in mappings {
        command.args([mapping.container_id(), mapping.host_id(), mapping.size()].map(|number| number.to_string()));
    }
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program}: {status}")))
    }
}
