//! Everything decided before the clone: a pure function of config.json and a few facts about the host.
//!
//! What can be refused is refused here, with the name of the field; the child only carries out. Nothing is opened, nothing
//! is looked up on disk.

mod capabilities;
mod mounts;
mod process;
mod rootfs;
mod scheduling;
mod seccomp;
mod syscalls;
#[cfg(test)]
mod tests;
mod unsupported;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use oci_spec::runtime::{Hook, Linux, LinuxDevice, LinuxDeviceType, LinuxNamespaceType, Spec};

pub use capabilities::{CAPABILITIES, Capabilities, number as capability_number};
pub use mounts::{BindPlan, CgroupMount, LayersPlan, MOUNT_OPTIONS, MountPlan, NewMountPlan};
pub use process::{ProcessPlan, Rlimit, process};
pub(crate) use rootfs::overlay;
pub use rootfs::{Overlay, RootfsPlan, rootfs};
pub use scheduling::personality;
pub use seccomp::Filter;

use crate::oci::annotation;
use crate::user_namespace::{IdRange, UserNamespace};

/// A container's start, decided.
#[derive(Debug)]
pub struct Plan {
    /// Namespaces that the process is born with; the cgroup namespace comes later, when it is in its cgroup.
    pub namespaces: CloneFlags,
    /// Namespaces to enter, by path.
    pub join: Vec<(CloneFlags, PathBuf)>,
    /// The user namespace to enter last, with who its users are.
    pub users: Option<(PathBuf, UserNamespace)>,
    /// Whether a cgroup namespace is wanted.
    pub cgroup_namespace: bool,
    /// The root filesystem.
    pub rootfs: RootfsPlan,
    /// Mounts in their order.
    pub mounts: Vec<MountPlan>,
    /// Device nodes besides the default ones.
    pub devices: Vec<Device>,
    /// Whether /dev is the container's own, to be filled with nodes and links.
    pub own_dev: bool,
    /// Kernel parameters as files below /proc/sys.
    pub sysctls: Vec<(PathBuf, String)>,
    /// Paths to hide.
    pub masked_paths: Vec<PathBuf>,
    /// Paths to make read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Host name to set, when the process has a UTS namespace of its own.
    pub hostname: Option<String>,
    /// The same for the NIS domain.
    pub domainname: Option<String>,
    /// Whether the loopback interface is to be brought up.
    pub loopback: bool,
    /// Lines for /proc/self/timens_offsets, when a time namespace is wanted.
    pub time_offsets: Option<String>,
    /// Propagation of the mounts, `MS_*`; 0 is the default.
    pub propagation: u64,
    /// Programs that run on the way.
    pub hooks: HooksPlan,
    /// The process itself.
    pub process: ProcessPlan,
}

/// Programs that config.json wants to be run before the command is (runtime-spec, config.md, "POSIX-platform hooks").
#[derive(Debug, Default)]
pub struct HooksPlan {
    /// The parent runs some, for which the child waits.
    pub of_runtime: bool,
    /// In the container's namespaces, before the root is changed.
    pub create_container: Vec<Hook>,
    /// In the container, before the command.
    pub start_container: Vec<Hook>,
}

/// A device node to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path in the container.
    pub path: PathBuf,
    /// Type bits of mknod(2).
    pub kind: nix::sys::stat::SFlag,
    /// Device number.
    pub number: u64,
    /// Permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// Why a config.json cannot be launched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A field that is needed is not there.
    #[error("config.json: {0}: missing")]
    Missing(&'static str),
    /// A value holds a NUL byte, which no system call can take.
    #[error("config.json: {field}: {value:?} holds a NUL byte")]
    Nul {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A value is not one of those known.
    #[error("config.json: {field}: {value:?} is not supported: {why}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be.
        why: &'static str,
    },
    /// The image's layers don't fit into one mount's options.
    #[error("the image has too many layers: their mount options take {0} bytes and a page holds 4095")]
    TooManyLayers(usize),
    /// The annotation with the root filesystem is not readable.
    #[error("config.json: annotations[{key}]: {reason}")]
    Annotation {
        /// The annotation's key.
        key: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// The seccomp profile cannot be compiled.
    #[error("config.json: linux.seccomp: {0}")]
    Seccomp(String),
}

/// Decides a container's start.
///
/// # Errors
/// The first field that cannot be carried out.
pub fn plan(spec: &Spec, bundle: &Path, cgroups: &[CgroupMount]) -> Result<Plan, PlanError> {
    let linux = spec.linux().as_ref().ok_or(PlanError::Missing("linux"))?;
    let config = spec.process().as_ref().ok_or(PlanError::Missing("process"))?;
    let mut namespaces = CloneFlags::CLONE_NEWNS;
    let mut join = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if namespace.typ() == LinuxNamespaceType::User && namespace.path().is_some() {
            continue;
        }
        let flag = namespace_flag(namespace.typ())?;
        match namespace.path() {
            Some(path) => join.push((flag, path.clone())),
            None => namespaces |= flag,
        }
    }
    let cgroup_namespace = namespaces.contains(CloneFlags::CLONE_NEWCGROUP);
    namespaces.remove(CloneFlags::CLONE_NEWCGROUP);
    let own_uts = namespaces.contains(CloneFlags::CLONE_NEWUTS);
    // A clone would enter it at once, and then its clocks can't be set any more (time_namespaces(7)).
    let own_time = namespaces.contains(TIME_NAMESPACE);
    namespaces.remove(TIME_NAMESPACE);
    unsupported::refuse(spec, linux)?;
    let users = users(spec)?;
    let mapped = users.as_ref().map(|(_, mapped)| mapped);
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let mounts = mounts::mounts(mounts, &sub_paths(spec)?, cgroups, mapped)?;
    // A directory of the host's has its devices: nothing is made there.
    let host_dev = mounts
        .iter()
        .any(|mount| mount.destination() == Path::new("dev") && mount.is_bind());
    let devices = linux.devices().iter().flatten().filter(|_| !host_dev);
    let mut process = process(config, linux.seccomp().as_ref())?;
    process.personality = linux.personality().as_ref().map(scheduling::personality).transpose()?;
    known_users(&process, mapped)?;
    Ok(Plan {
        namespaces,
        join,
        cgroup_namespace,
        rootfs: rootfs::rootfs(spec, bundle)?,
        own_dev: mounts
            .iter()
            .any(|mount| mount.destination() == Path::new("dev") && !mount.is_bind()),
        mounts,
        devices: devices.map(device).collect(),
        sysctls: linux
            .sysctl()
            .iter()
            .flatten()
            .map(|(key, value)| (sysctl_path(key), value.clone()))
            .collect(),
        masked_paths: linux.masked_paths().iter().flatten().map(PathBuf::from).collect(),
        readonly_paths: linux.readonly_paths().iter().flatten().map(PathBuf::from).collect(),
        hostname: spec.hostname().clone().filter(|_| own_uts),
        loopback: namespaces.contains(CloneFlags::CLONE_NEWNET),
        domainname: spec.domainname().clone().filter(|_| own_uts),
        time_offsets: own_time.then(|| time_offsets(linux)),
        propagation: mounts::rootfs_propagation(linux.rootfs_propagation().as_deref())?,
        hooks: hooks(spec),
        process,
        users,
    })
}

/// `CLONE_NEWTIME`, which nix's flags don't name.
pub const TIME_NAMESPACE: CloneFlags = CloneFlags::from_bits_retain(0x80);

/// Offsets of two clocks; what isn't given is 0.
fn time_offsets(linux: &Linux) -> String {
    let mut lines = String::new();
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        let (seconds, nanos) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        lines.push_str(&format!("{clock} {seconds} {nanos}\n"));
    }
    lines
}

fn hooks(spec: &Spec) -> HooksPlan {
    let Some(hooks) = spec.hooks() else {
        return HooksPlan::default();
    };
    #[allow(deprecated, reason = "the specification still wants them run")]
    let prestart = hooks.prestart();
    let of_runtime = [prestart, hooks.create_runtime()];
    HooksPlan {
        of_runtime: of_runtime
            .iter()
            .any(|hooks| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty())),
        create_container: hooks.create_container().clone().unwrap_or_default(),
        start_container: hooks.start_container().clone().unwrap_or_default(),
    }
}

/// Parts of sources to mount in their place, by destination.
fn sub_paths(spec: &Spec) -> Result<HashMap<PathBuf, PathBuf>, PlanError> {
    let text = spec
        .annotations()
        .as_ref()
        .and_then(|all| all.get(annotation::SUB_PATHS));
    let parsed = text.map(|text| serde_json::from_str(text)).transpose();
    let parsed = parsed.map_err(|error| PlanError::Annotation {
        key: annotation::SUB_PATHS,
        reason: error.to_string(),
    })?;
    Ok(parsed.unwrap_or_default())
}

/// A user namespace that is there already; its mapping stands beside it.
pub(crate) fn users(spec: &Spec) -> Result<Option<(PathBuf, UserNamespace)>, PlanError> {
    let linux = spec.linux().clone().unwrap_or_default();
    let all = linux.namespaces().iter().flatten();
    let mut paths = all
        .filter(|namespace| namespace.typ() == LinuxNamespaceType::User)
        .filter_map(|namespace| namespace.path().as_ref());
    let Some(path) = paths.next() else {
        return Ok(None);
    };
    let range = |mappings: &Option<Vec<_>>| IdRange::of_oci(mappings.as_deref().unwrap_or_default());
    let (Some(uids), Some(gids)) = (range(linux.uid_mappings()), range(linux.gid_mappings())) else {
        return Err(PlanError::Unsupported {
            field: "linux.uidMappings",
            value: format!("{:?}", linux.uid_mappings()),
            why: "a user namespace to enter has one mapping of users and one of groups, from 0",
        });
    };
    Ok(Some((path.clone(), UserNamespace { uids, gids })))
}

/// The kernel would say no more than "invalid argument".
fn known_users(process: &ProcessPlan, users: Option<&UserNamespace>) -> Result<(), PlanError> {
    let Some(users) = users else {
        return Ok(());
    };
    let uids = [("process.user.uid", process.uid, users.uids)];
    let gids = std::iter::once(process.gid).chain(process.groups.iter().copied());
    let gids = gids.map(|gid| ("process.user.gid", gid, users.gids));
    match uids
        .into_iter()
        .chain(gids)
        .find(|(_, id, range)| range.on_host(*id).is_none())
    {
        None => Ok(()),
        Some((field, id, _)) => Err(PlanError::Unsupported {
            field,
            value: id.to_string(),
            why: "the user namespace has fewer users",
        }),
    }
}

fn namespace_flag(kind: LinuxNamespaceType) -> Result<CloneFlags, PlanError> {
    Ok(match kind {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        LinuxNamespaceType::Time => TIME_NAMESPACE,
        LinuxNamespaceType::User => {
            return Err(PlanError::Unsupported {
                field: "linux.namespaces",
                value: format!("{kind:?}"),
                why: "a user namespace is made before the container is",
            });
        }
    })
}

/// `net.ipv4.tcp_syncookies` or `net/ipv4/conf/eth0.1/forwarding`: the first separator decides (sysctl.d(5)).
#[must_use]
pub fn sysctl_path(key: &str) -> PathBuf {
    let dots_first = key.find(['.', '/']).is_some_and(|at| key.as_bytes()[at] == b'.');
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let relative: String = if dots_first {
        key.chars().map(swap).collect()
    } else {
        key.to_owned()
    };
    Path::new("proc/sys").join(relative.trim_start_matches('/'))
}

fn device(device: &LinuxDevice) -> Device {
    use nix::sys::stat::SFlag;
    let kind = match device.typ() {
        LinuxDeviceType::B => SFlag::S_IFBLK,
        LinuxDeviceType::P => SFlag::S_IFIFO,
        LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::A => SFlag::S_IFCHR,
    };
    let number = nix::sys::stat::makedev(device.major().unsigned_abs(), device.minor().unsigned_abs());
    Device {
        path: device.path().clone(),
        kind,
        number,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    }
}
