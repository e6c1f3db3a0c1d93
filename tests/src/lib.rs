//! Floor 3: what the end-to-end tests and benchmarks stand on. It drives the real executable from outside, as users do.
//!
//! [`World`] is a node of its own in a network namespace of its own; [`registry`] a real registry in it, [`answering`] one in trouble and
//! [`valve`] a slow way to one; [`probed`] serves what probes ask; [`images`] makes real images; [`containerd`] and
//! [`podman`] are real ones of a test's own; [`executable`] builds and finds what is tested. Everything is bounded in time, and what a test leaves behind fails it.

pub mod answering;
pub mod containerd;
pub mod executable;
pub mod images;
pub mod leftovers;
pub mod podman;
pub mod probed;
pub mod registry;
pub mod run;
pub mod valve;
pub mod vm;
pub mod world;

pub use run::{Output, Run, Running};
pub use world::World;
