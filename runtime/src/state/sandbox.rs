//! The record of a sandbox: what the kubelet asked for, and how far it is.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use minik_api::cri;
use serde::{Deserialize, Serialize};

use super::{Record, protobuf};
use crate::user_namespace::{UserNamespace, UserNamespaceError};

/// A sandbox, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) created_at_nanos: i64,
    pub(crate) phase: SandboxPhase,
    /// None with the host's network.
    pub(crate) network: Option<SandboxNetwork>,
    /// Cgroup that the containers' cgroups are in, if it is this sandbox's own.
    pub(crate) cgroup_parent: PathBuf,
    pub(crate) runtime_handler: String,
    #[serde(with = "protobuf")]
    pub(crate) config: cri::PodSandboxConfig,
}

/// What the sandbox holds of the node's network until it is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxNetwork {
    pub(crate) address: Ipv4Addr,
    /// The node's end of the veth pair.
    pub(crate) interface: String,
}

/// Where a sandbox is in its life (see the folder's picture).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SandboxPhase {
    Starting,
    Ready,
    Lost,
    Stopped,
}

impl SandboxRecord {
    pub(crate) fn state(&self) -> cri::PodSandboxState {
        match self.phase {
            SandboxPhase::Ready => cri::PodSandboxState::SandboxReady,
            SandboxPhase::Starting | SandboxPhase::Lost | SandboxPhase::Stopped => {
                cri::PodSandboxState::SandboxNotready
            }
        }
    }

    /// The namespaces asked for; those of a pod of its own if nothing was said.
    pub(crate) fn namespaces(&self) -> cri::NamespaceOption {
        let context = self
            .config
            .linux
            .as_ref()
            .and_then(|linux| linux.security_context.as_ref());
        context
            .and_then(|context| context.namespace_options.clone())
            .unwrap_or_default()
    }

    /// The pod's users, if they aren't the node's.
    pub(crate) fn users(&self) -> Result<Option<UserNamespace>, UserNamespaceError> {
        UserNamespace::of_pod(&self.namespaces())
    }

    /// Whether the pod shares the node's network.
    pub(crate) fn host_network(&self) -> bool {
        self.namespaces().network() == cri::NamespaceMode::Node
    }
}

impl Record for SandboxRecord {
    const KIND: &'static str = "sandbox";

    fn id(&self) -> &str {
        &self.id
    }
}
