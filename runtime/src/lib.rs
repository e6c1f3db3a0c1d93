//! The runtime: our containerd and runc in one. It serves the Container Runtime Interface to the kubelet.
//!
//! ```text
//!   kubelet ── CRI gRPC ──> cri/ ──> sandbox/ ──> network/                 veth pair, routes, masquerade
//!                            │          └── shim/ (a process a pod) ──> launch/ ──> execve, or runc, crun … by handlers
//!                            ├──> images/ ──> snapshots/                   pull, unpack, writable layers
//!   ctr ────── gRPC ──────> ctr/ ──> shim/                                  containers without a pod
//!   image build ─ gRPC ──> build/ ──> ctr/, images/                         steps of a Dockerfile in containers
//!                            ├──> oci/                                     config.json
//!                            └──> streaming/                               exec, attach, port-forward
//!   state/ keeps a record of each sandbox and container; cgroup/ is limits and figures; sys/ is the kernel
//! ```
//!
//! The daemon holds nothing that a running pod needs: it may be killed and started again at any moment.

mod build;
pub mod cgroup;
mod config;
mod cri;
mod ctr;
mod daemon;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod handlers;
mod host;
pub mod images;
pub mod launch;
pub mod network;
pub mod oci;
mod run;
mod sandbox;
pub mod shim;
pub mod snapshots;
mod state;
pub mod streaming;
pub mod sys;
pub mod user_namespace;

pub use build::name_matches;
pub use config::Config;
pub use run::{Error, run, undo};
