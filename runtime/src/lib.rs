//! The runtime: our containerd and runc in one. It serves the Container Runtime Interface to the kubelet.

pub mod cgroup;
mod cri;
pub mod images;
pub mod launch;
pub mod network;
pub mod oci;
mod sandbox;
pub mod shim;
pub mod snapshots;
mod state;
pub mod streaming;
pub mod sys;
