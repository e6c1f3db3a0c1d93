//! runtime

pub mod cgroup;
pub mod launch;
pub mod oci;
pub mod shim;
pub mod sys;
