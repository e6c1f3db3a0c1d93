//! What a process of a container gets of this one: streams, the terminal's size, its place among cgroups.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};

use super::CommandError;
use crate::cgroup::{CgroupPath, Driver};
use crate::launch::Stdio;
use crate::launch::plan::CgroupMount;
use crate::oci::devices;

/// Our own streams, for a process without a terminal.
pub(super) fn streams(terminal: bool) -> Result<Stdio, CommandError> {
    if terminal {
        return Ok(Stdio::default());
    }
    let own = |stream: io::Result<std::os::fd::OwnedFd>| {
        stream
            .map(Some)
            .map_err(CommandError::file("take on", "standard streams"))
    };
    Ok(Stdio {
        stdin: own(io::stdin().as_fd().try_clone_to_owned())?,
        stdout: own(io::stdout().as_fd().try_clone_to_owned())?,
        stderr: own(io::stderr().as_fd().try_clone_to_owned())?,
    })
}

/// The container's cgroup: what config.json says, from the top of the hierarchies; else one named after it.
pub(super) fn cgroup_path(spec: &Spec, id: &str) -> Result<CgroupPath, CommandError> {
    let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    let path = asked.filter(|path| !path.as_os_str().is_empty());
    let path = path.map_or_else(
        || PathBuf::from(format!("/minirunc-{id}")),
        |path| Path::new("/").join(path),
    );
    Ok(CgroupPath::parse(&path)?)
}

/// What is mounted for a mount of type `cgroup`: without a cgroup namespace, what a new mount of a v1 hierarchy would show
/// is not the container's alone.
pub(super) fn cgroup_mounts(spec: &Spec, driver: &dyn Driver, path: &CgroupPath) -> Vec<CgroupMount> {
    let mut mounts = driver.mounts();
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let own = namespaces
        .into_iter()
        .flatten()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Cgroup);
    if !own {
        for (name, place) in driver.places(path) {
            if let Some(mount) = mounts
                .iter_mut()
                .find(|mount| mount.directory == name && !name.is_empty())
            {
                mount.bound = Some(place);
            }
        }
    }
    mounts
}

/// The limits, and among the devices those that every container has (runtime-spec, config-linux.md, "Default Devices"): a
/// list that denies all says so for others.
pub(super) fn resources(spec: &Spec) -> LinuxResources {
    let asked = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    let mut resources = asked.unwrap_or_default();
    if let Some(rules) = resources.devices().clone().filter(|rules| !rules.is_empty()) {
        let defaults = devices::rules(false, &[]);
        // The first of them denies everything, which is for the list itself to say.
        resources.set_devices(Some(rules.into_iter().chain(defaults.into_iter().skip(1)).collect()));
    }
    resources
}
