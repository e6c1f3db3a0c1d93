//! The runtime: our containerd and runc in one. It serves the Container Runtime Interface to the kubelet.

mod cri;
pub mod images;
pub mod network;
mod sandbox;
pub mod snapshots;
mod state;
pub mod streaming;
pub mod sys;
