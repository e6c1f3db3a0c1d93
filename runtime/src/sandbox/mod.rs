//! The life of sandboxes: one shim with a pod's namespaces, its network, and three files.
//!
//! ```text
//!   run      record ─> sandbox.json, files ─> shim (namespaces, cgroup, ports) ─> veth pair ─> Ready
//!   follow   the shim's events ─> the containers' records, CRI events          one task a sandbox
//!   stop     kill containers ─> remove veth pair ─> shut the shim down ─> remove its directory ─> Stopped
//!   recover  after a restart: shims are found again, what is between two states is undone
//! ```

pub(crate) mod files;
mod follow;
pub(crate) mod recover;
mod run;
mod spec;
mod stop;

use std::io;
use std::path::PathBuf;

use crate::handlers::HandlerError;
use crate::network::NetworkError;
use crate::shim::ShimError;
use crate::state::StateError;
use crate::user_namespace::UserNamespaceError;

pub(crate) use run::{RunRequest, prepare, run};
pub(crate) use stop::{remove, remove_directory, stop};

/// What can go wrong in a sandbox's life.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SandboxError {
    #[error("the pod sandbox config has no metadata")]
    NoMetadata,
    #[error("pod {name:?} has sandbox {id} for this attempt already")]
    Exists { name: String, id: String },
    #[error("host port {0} is no port")]
    InvalidPort(i32),
    #[error("host address {0:?} of a port is no IP address")]
    InvalidAddress(String),
    #[error("SCTP host ports aren't supported, use TCP or UDP")]
    Sctp,
    #[error(transparent)]
    Handler(#[from] HandlerError),
    #[error(transparent)]
    UserNamespace(#[from] UserNamespaceError),
    #[error("user namespaces don't work here ({0}): leave hostUsers unset")]
    NoUserNamespaces(String),
    #[error("prepare the sandbox's directory {path}")]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("start the shim of sandbox {id}")]
    Shim {
        id: String,
        #[source]
        source: Box<ShimError>,
    },
    #[error("connect sandbox {id} to the network")]
    Network {
        id: String,
        #[source]
        source: NetworkError,
    },
    #[error(transparent)]
    Address(NetworkError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(
        "container {container} of sandbox {id} doesn't end after SIGKILL: its processes wait in the kernel, for a disk or a network file system"
    )]
    Unkillable { id: String, container: String },
}
