//! The steps of a start, each with its reason; [`super::child`] has their order.

pub(super) mod capabilities;
pub(super) mod cgroup;
mod copy_up;
pub(super) mod devices;
pub(super) mod identity;
pub(super) mod mounts;
pub(super) mod namespaces;
pub(super) mod paths;
pub(super) mod resolve;
pub(super) mod scheduling;
pub(super) mod terminal;
pub(crate) mod users;
