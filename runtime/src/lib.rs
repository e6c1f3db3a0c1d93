//! The runtime: our containerd and runc in one. It serves the Container Runtime Interface to the kubelet.

pub mod network;
pub mod streaming;
