//! The runtime: our containerd and runc in one. It serves the Container Runtime Interface to the kubelet.

mod cri;
pub mod network;
mod sandbox;
mod state;
pub mod streaming;
