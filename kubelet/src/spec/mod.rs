//! From a pod's spec to the configs of the CRI: all pure. What has to be looked up first (config maps, secrets, the image's
//! user, the host's resolver) is an argument.
//!
//! ```text
//!   Pod --sandbox--> PodSandboxConfig      env (expand, fields) --+
//!     \                                     mounts ---------------+--> container --> ContainerConfig
//!      +--> qos, resources, security -------------------------------^
//! ```

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;
use sha2::{Digest, Sha256};

use crate::pod::Pod;

pub(crate) mod container;
pub(crate) mod dns;
pub(crate) mod env;
pub(crate) mod expand;
pub(crate) mod fields;
pub(crate) mod qos;
pub(crate) mod references;
pub(crate) mod resources;
pub(crate) mod sandbox;
pub(crate) mod security;
pub(crate) mod service_env;

/// What is the same for all pods of this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// The node's name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) ips: Vec<String>,
    /// Memory of the machine: what a limit is where none is set.
    pub(crate) memory_bytes: i64,
    /// Thousandths of a CPU, likewise.
    pub(crate) milli_cpus: i64,
    /// Whether all controllers are in a cgroup v2 hierarchy.
    pub(crate) cgroup_v2: bool,
    /// Where pods' cgroups are made: `/minik-NAME`.
    pub(crate) cgroup_parent: String,
    /// Below this lie the pods' directories and logs.
    pub(crate) root: PathBuf,
}

impl Node {
    /// Everything that this kubelet keeps for a pod, but for its logs.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Where the runtime writes the pod's logs: `NS_NAME_UID`, as Kubernetes names it.
    pub(crate) fn log_dir(&self, pod: &Pod) -> PathBuf {
        self.logs_root()
            .join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
    }

    /// The logs of all pods.
    pub(crate) fn logs_root(&self) -> PathBuf {
        self.root.join("pods-logs")
    }
}

/// `NAME/ATTEMPT.log`, below the pod's log directory.
pub(crate) fn log_path(container: &str, attempt: u32) -> PathBuf {
    Path::new(container).join(format!("{attempt}.log"))
}

/// A digest of what makes a restart necessary when it changes: only a container's name and image can, in a pod.
pub(crate) fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let digest = Sha256::digest(format!("{}\0{image}", container.name));
    hex::encode(&digest[..8])
}
