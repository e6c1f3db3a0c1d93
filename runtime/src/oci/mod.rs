//! The runtime specification: from a CRI container config and an image config to the config.json that is launched.
//!
//! ```text
//!   ContainerConfig + PodSandboxConfig + ImageConfiguration + passwd and group texts + what the host can do
//!        -> spec (pure) -> config.json, whose annotations hold what the shim needs besides
//! ```
//!
//! It opens nothing: what has to be read (user files, a Localhost seccomp profile, host devices) comes in as inputs.

pub mod annotation;
mod capabilities;
pub mod command;
pub mod devices;
mod mounts;
mod process;
mod resources;
mod seccomp;
mod state;
#[cfg(test)]
mod tests;
mod users;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use minik_api::cri;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxDevice, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxSeccomp, Process,
    RootBuilder, Spec, SpecBuilder,
};
use serde::{Deserialize, Serialize};

pub use resources::linux_resources;
pub use seccomp::default_profile;
pub use state::{OCI_VERSION, State, Status};
pub use users::{Users, resolve as resolve_user};

use crate::user_namespace::{UserNamespace, UserNamespaceError};

/// The runtime specification that has all that is used here. A runtime may refuse one that it is too old for: crun 1.8
/// takes 1.0 alone.
const VERSION: &str = "1.0.2";

/// Directories of a container's root filesystem: read-only layers and a writable one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, topmost first, absolute.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// overlayfs' own directory, on the same filesystem as `upper`.
    pub work: PathBuf,
}

/// What the host can do for a container.
#[derive(Debug, Clone, Default)]
pub struct HostCapabilities {
    /// Whether the kernel takes seccomp filters.
    pub seccomp: bool,
    /// Capabilities that this host's root has: bit n is number n.
    pub capabilities: u64,
    /// Whether a cgroup can say which devices may be opened. Where it can't, CAP_MKNOD is not a default.
    pub device_control: bool,
    /// Whether the kernel labels everything by SELinux.
    pub selinux: bool,
    /// Why pods can't have users of their own; none when they can.
    pub no_user_namespaces: Option<String>,
    /// The host's devices, for privileged containers.
    pub devices: Vec<LinuxDevice>,
    /// The least `oom_score_adj` that can be set, where it matters: runc ends when it asks for less, our own launch notes it.
    pub least_oom_score_adj: Option<i32>,
}

impl HostCapabilities {
    /// Finds out what this host can do.
    ///
    /// # Errors
    /// /dev can't be read.
    pub fn detect(cgroups: &dyn crate::cgroup::Driver) -> std::io::Result<Self> {
        Ok(Self {
            seccomp: crate::sys::seccomp::available(),
            capabilities: crate::sys::capabilities::permitted()?,
            device_control: cgroups.controls_devices(),
            selinux: false,
            no_user_namespaces: None,
            devices: devices::of_host()?,
            least_oom_score_adj: None,
        })
    }
}

/// All that decides a config.json.
#[derive(Debug)]
pub struct SpecInputs<'a> {
    /// The container's id.
    pub container_id: &'a str,
    /// The sandbox's id.
    pub sandbox_id: &'a str,
    /// What the kubelet asks for.
    pub container: &'a cri::ContainerConfig,
    /// The pod it is in.
    pub sandbox: &'a cri::PodSandboxConfig,
    /// The image's config.
    pub image: &'a ImageConfiguration,
    /// The root filesystem's directories.
    pub rootfs: &'a Rootfs,
    /// `/etc/passwd` and `/etc/group` of the root filesystem.
    pub users: Users<'a>,
    /// The sandbox's directory, with `ns/*`, `shm`, `hosts`, `hostname` and `resolv.conf`.
    pub sandbox_dir: &'a Path,
    /// The container's cgroup, such as `/kubepods/pod<uid>/<id>`.
    pub cgroup_path: &'a Path,
    /// For each of the container's mounts the layers of the image that it shows, topmost first; empty for the others.
    pub image_volumes: &'a [Vec<PathBuf>],
    /// Where its log goes.
    pub log_path: Option<&'a Path>,
    /// The process whose pid namespace is the target's, when the mode is Target.
    pub target_pid: Option<i32>,
    /// `container.devices`, found on the host by [`devices::resolve`].
    pub devices: &'a [devices::Resolved],
    /// The profile that a Localhost seccomp profile's file holds.
    pub localhost_profile: Option<&'a LinuxSeccomp>,
    /// What the host can do.
    pub host: &'a HostCapabilities,
}

/// Why a container config can't become a config.json.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Neither the pod nor the image says what to run.
    #[error("no command: the image has neither ENTRYPOINT nor CMD, so the container has to set `command`")]
    NoCommand,
    /// A group was asked for without a user.
    #[error("runAsGroup is set without runAsUser or a user in the image")]
    GroupWithoutUser,
    /// A name is not in the image's user files.
    #[error("no {kind} {name:?} in the image's /etc/{file}; use its number, or an image that has it")]
    UnknownUser {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// `passwd` or `group`.
        file: &'static str,
    },
    /// A number is out of range.
    #[error("{field}: {value} is not between 0 and 4294967295")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// No such capability.
    #[error("unknown capability {0:?}")]
    UnknownCapability(String),
    /// A mount isn't valid.
    #[error("mount at {destination:?}: {reason}")]
    Mount {
        /// Where.
        destination: String,
        /// Why not.
        reason: &'static str,
    },
    /// A mount has an option that mounts of pods don't have.
    #[error("mount at {destination:?}: the option {option:?} is not one of noexec, nodev and nosuid")]
    MountOption {
        /// Where.
        destination: String,
        /// The option.
        option: String,
    },
    /// A Localhost profile was asked for and not given.
    #[error("seccomp profile {0:?} was not read")]
    Localhost(String),
    /// The target container of a shared pid namespace isn't there.
    #[error("the target container {0:?} is not running in this pod")]
    Target(String),
    /// An AppArmor profile was asked for.
    #[error(
        "AppArmor is not supported: the profile {0:?} would not confine the container; ask for Unconfined, or leave it out"
    )]
    AppArmor(String),
    /// SELinux labels were asked for, and the host has SELinux.
    #[error("SELinux labels are not supported: the container would not get {0:?}; leave seLinuxOptions out")]
    SeLinux(String),
    /// The pod's user namespace isn't one that can be made.
    #[error(transparent)]
    Users(#[from] UserNamespaceError),
    /// Shared processes were asked for in a pod that shares none.
    #[error(
        "the container is to share the pod's process namespace, but the pod's sandbox was made without one (pid mode \
         CONTAINER): ask for the same mode for both"
    )]
    NoSharedPids,
}

/// Decides a container's config.json.
///
/// # Errors
/// The first thing that can't be granted.
pub fn spec(inputs: &SpecInputs<'_>) -> Result<Spec, SpecError> {
    let context = inputs.security();
    refuse_labels(&context, inputs.host)?;
    let process = process::process(inputs)?;
    let root = RootBuilder::default()
        .path("rootfs")
        .readonly(context.readonly_rootfs)
        .build();
    let builder = SpecBuilder::default()
        .version(VERSION.to_owned())
        .root(root.expect("all fields have defaults"))
        .process(process)
        .mounts(mounts::mounts(inputs)?)
        .annotations(annotations(inputs))
        .linux(linux(inputs)?);
    Ok(builder.build().expect("all fields have defaults"))
}

/// What would confine a container must not be left out in silence. SELinux labels mean nothing where the kernel has no SELinux,
/// and manifests that are made for both kinds of hosts have them: there they are left out, as containerd does.
fn refuse_labels(context: &cri::LinuxContainerSecurityContext, host: &HostCapabilities) -> Result<(), SpecError> {
    use cri::security_profile::ProfileType;
    // The text is what kubelets before 1.30 send.
    #[allow(deprecated, reason = "old kubelets send it")]
    let old = context.apparmor_profile.as_str();
    let asked = match &context.apparmor {
        Some(profile) if profile.profile_type() == ProfileType::Unconfined => None,
        Some(profile) if profile.profile_type() == ProfileType::RuntimeDefault => Some("runtime/default"),
        Some(profile) => Some(profile.localhost_ref.as_str()),
        None => Some(old).filter(|old| !matches!(*old, "" | "unconfined")),
    };
    // A privileged container is not confined, whatever is asked.
    if let Some(profile) = asked.filter(|_| !context.privileged) {
        return Err(SpecError::AppArmor(profile.to_owned()));
    }
    let labels = context.selinux_options.clone().unwrap_or_default();
    let label = [labels.user, labels.role, labels.r#type, labels.level].join(":");
    if host.selinux && label != ":::" {
        return Err(SpecError::SeLinux(label));
    }
    Ok(())
}

/// The process of an exec: the container's own rights and environment with another command.
///
/// The exec's `PATH` and user are the container's, as Kubernetes has it.
#[must_use]
pub fn exec_process(container: &Spec, args: Vec<String>, terminal: bool) -> Process {
    let mut process = container.process().clone().unwrap_or_default();
    process
        .set_args(Some(args))
        .set_terminal(Some(terminal))
        .set_console_size(None);
    let mut env = process.env().clone().unwrap_or_default();
    if terminal && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    process.set_env(Some(env));
    process
}

impl SpecInputs<'_> {
    fn security(&self) -> cri::LinuxContainerSecurityContext {
        self.container
            .linux
            .as_ref()
            .and_then(|linux| linux.security_context.clone())
            .unwrap_or_default()
    }

    /// What the container itself is asked to have; only the pid mode is its own to choose.
    fn own_namespaces(&self) -> cri::NamespaceOption {
        self.security().namespace_options.unwrap_or_default()
    }

    /// The pod's users, if they aren't the node's.
    fn users(&self) -> Result<Option<UserNamespace>, SpecError> {
        Ok(UserNamespace::of_pod(&self.pod_namespaces())?)
    }

    /// What the sandbox was made with: a container can't have another network than its pod.
    fn pod_namespaces(&self) -> cri::NamespaceOption {
        let linux = self.sandbox.linux.as_ref();
        let context = linux.and_then(|linux| linux.security_context.as_ref());
        context
            .and_then(|context| context.namespace_options.clone())
            .unwrap_or_default()
    }
}

fn linux(inputs: &SpecInputs<'_>) -> Result<Linux, SpecError> {
    let context = inputs.security();
    let asked = inputs
        .container
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.clone())
        .unwrap_or_default();
    let mut resources = linux_resources(&asked);
    resources.set_devices(Some(devices::rules(context.privileged, inputs.devices)));
    let mut nodes: Vec<LinuxDevice> = inputs.devices.iter().map(|device| device.node.clone()).collect();
    if context.privileged {
        nodes.extend(inputs.host.devices.iter().cloned());
    }
    let mut linux = LinuxBuilder::default()
        .cgroups_path(inputs.cgroup_path.to_owned())
        .namespaces(namespaces(inputs)?)
        .resources(resources)
        .devices(nodes)
        .build()
        .expect("all fields have defaults");
    let (masked, readonly) = paths(&context);
    linux.set_masked_paths(masked).set_readonly_paths(readonly);
    if let Some(users) = inputs.users()? {
        linux
            .set_uid_mappings(Some(users.uids.to_oci()))
            .set_gid_mappings(Some(users.gids.to_oci()));
    }
    linux.set_seccomp(seccomp::profile(inputs)?);
    linux
        .set_sysctl(None)
        .set_rootfs_propagation(rootfs_propagation(inputs));
    Ok(linux)
}

/// What the container shares with its pod is entered by path; what it shares with the host is not named at all.
fn namespaces(inputs: &SpecInputs<'_>) -> Result<Vec<LinuxNamespace>, SpecError> {
    use cri::NamespaceMode::{Container, Node, Pod, Target};
    let (own, pods) = (inputs.own_namespaces(), inputs.pod_namespaces());
    let held = |name: &str| inputs.sandbox_dir.join("ns").join(name);
    let mut all = vec![(LinuxNamespaceType::Mount, None), (LinuxNamespaceType::Cgroup, None)];
    match (own.pid(), pods.pid()) {
        (Container, _) => all.push((LinuxNamespaceType::Pid, None)),
        (Target, _) => {
            let target = || SpecError::Target(own.target_id.clone());
            let path = format!("/proc/{}/ns/pid", inputs.target_pid.ok_or_else(target)?);
            all.push((LinuxNamespaceType::Pid, Some(PathBuf::from(path))));
        }
        (Pod | Node, Node) => {}
        (Pod | Node, Pod) => all.push((LinuxNamespaceType::Pid, Some(held("pid")))),
        (Pod | Node, Container | Target) => return Err(SpecError::NoSharedPids),
    }
    if inputs.users()?.is_some() {
        all.push((LinuxNamespaceType::User, Some(held("user"))));
    }
    if pods.ipc() != Node {
        all.push((LinuxNamespaceType::Ipc, Some(held("ipc"))));
    }
    // Kubernetes has no switch for the host name's namespace: a pod on the host's network has the host's name.
    if pods.network() != Node {
        all.push((LinuxNamespaceType::Network, Some(held("net"))));
        all.push((LinuxNamespaceType::Uts, Some(held("uts"))));
    }
    let build = |(kind, path): (LinuxNamespaceType, Option<PathBuf>)| {
        let builder = LinuxNamespaceBuilder::default().typ(kind);
        let builder = if let Some(path) = path {
            builder.path(path)
        } else {
            builder
        };
        builder.build().expect("all fields have defaults")
    };
    Ok(all.into_iter().map(build).collect())
}

/// A mount can only be shared with the host, or be its slave, if the root it is made in is no less (mount_namespaces(7)).
fn rootfs_propagation(inputs: &SpecInputs<'_>) -> Option<String> {
    use cri::MountPropagation::{PropagationBidirectional, PropagationHostToContainer};
    let asked = |wanted| {
        inputs
            .container
            .mounts
            .iter()
            .any(|mount| mount.propagation() == wanted)
    };
    let propagation = if asked(PropagationBidirectional) {
        "rshared"
    } else if asked(PropagationHostToContainer) {
        "rslave"
    } else {
        return None;
    };
    Some(propagation.to_owned())
}

/// Hidden and read-only paths: the kubelet's, else what every runtime hides (moby's and containerd's defaults).
fn paths(context: &cri::LinuxContainerSecurityContext) -> (Option<Vec<String>>, Option<Vec<String>>) {
    const MASKED: [&str; 11] = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];
    const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
    if context.privileged {
        return (None, None);
    }
    let or = |given: &[String], default: &[&str]| {
        if given.is_empty() {
            default.iter().map(ToString::to_string).collect()
        } else {
            given.to_vec()
        }
    };
    (
        Some(or(&context.masked_paths, &MASKED)),
        Some(or(&context.readonly_paths, &READONLY)),
    )
}

fn annotations(inputs: &SpecInputs<'_>) -> HashMap<String, String> {
    let container = inputs.container;
    let name = container
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.clone())
        .unwrap_or_default();
    let rootfs = serde_json::to_string(inputs.rootfs).expect("paths of a root filesystem are UTF-8");
    let own = [
        (annotation::ROOTFS, Some(rootfs)),
        (
            annotation::LOG_PATH,
            inputs.log_path.map(|path| path.to_string_lossy().into_owned()),
        ),
        (annotation::SUB_PATHS, mounts::sub_paths(inputs)),
        (annotation::STDIN, container.stdin.then(|| "true".to_owned())),
        (annotation::STDIN_ONCE, container.stdin_once.then(|| "true".to_owned())),
        ("io.kubernetes.cri.container-type", Some("container".to_owned())),
        ("io.kubernetes.cri.container-name", Some(name)),
        ("io.kubernetes.cri.container-id", Some(inputs.container_id.to_owned())),
        ("io.kubernetes.cri.sandbox-id", Some(inputs.sandbox_id.to_owned())),
    ];
    // The pod's annotations come first: none of them may stand in for one of ours.
    let mut all = container.annotations.clone();
    all.extend(
        own.into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?))),
    );
    all
}
