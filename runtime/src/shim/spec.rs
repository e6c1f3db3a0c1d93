//! `sandbox.json`: what the daemon decided about a pod before it starts the shim.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::OciRuntime;
use crate::user_namespace::UserNamespace;

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The sandbox's id.
    pub id: String,
    /// Host name, set when the UTS namespace is the pod's own.
    pub hostname: String,
    /// Where the network namespace comes from.
    pub net: NamespaceSource,
    /// Where the IPC namespace comes from.
    pub ipc: NamespaceSource,
    /// Where the UTS namespace comes from.
    pub uts: NamespaceSource,
    /// Whose pid namespace the containers are in.
    pub pid: PidMode,
    /// Ports of the host that lead into the pod.
    #[serde(default)]
    pub port_mappings: Vec<PortMapping>,
    /// Kernel parameters of the pod's network and IPC namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// The pod's cgroup, such as `/kubepods/burstable/pod<uid>`; made by the shim with `resources`.
    #[serde(default)]
    pub cgroup_parent: Option<PathBuf>,
    /// The pod's own limits.
    #[serde(default)]
    pub resources: Option<LinuxResources>,
    /// The pod's users, in a user namespace of their own.
    #[serde(default)]
    pub users: Option<UserNamespace>,
    /// Where the containers' log files are.
    #[serde(default)]
    pub log_directory: Option<PathBuf>,
    /// Who launches the containers in place of the shim itself.
    #[serde(default)]
    pub oci_runtime: Option<OciRuntime>,
}

/// Where a namespace comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceSource {
    /// The shim makes it.
    New,
    /// The host's.
    Host,
    /// One that is there already, such as one that a CNI plugin has set up.
    Path(PathBuf),
}

/// Whose pid namespace the containers are in (CRI's NamespaceMode).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    /// Each has its own.
    Container,
    /// One for the pod, held by a pause process.
    Pod,
    /// The host's.
    Host,
    /// That of the container with this id.
    Target(String),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

/// A port of the host that leads into the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address; none means all, IPv4 and IPv6.
    #[serde(default)]
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
    /// The pod's port.
    pub container_port: u16,
}
