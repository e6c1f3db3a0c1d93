//! runtime

pub mod cgroup;
pub mod launch;
pub mod oci;
pub mod sys;
