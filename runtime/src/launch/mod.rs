//! From a config.json to a running process: the last part of the path, what runc does for containerd.
//!
//! ```text
//!   config.json -> plan (pure: strings, masks, programs; all that can be refused is refused here)
//!                   |
//!                parent  clone3 --------------------> child   a fixed list of steps, one line each
//!                   ^                                   |       note, pty, failed step + errno
//!                   +------ status socket (seqpacket) --+       "executing", then closed by execve itself
//! ```
//!
//! The parent (the shim) never waits: it gets the status socket and reads it when its loop says so. The child starts as a
//! copy of the shim, so it needs no second program and no second exec. An `exec` into a running container takes the same
//! way with fewer steps.
//!
//! If the shim is killed, nothing here outlives it: every process asks for SIGKILL at its parent's death just before
//! execve, and the death of a container's process 1 takes its pid namespace along.

mod child;
pub mod diagnose;
mod door;
pub mod executable;
pub mod holder;
pub mod hooks;
pub mod parent;
pub mod plan;
pub mod report;
pub mod rootfs_file;
pub mod rootfs_mount;
mod steps;
pub mod trial;

pub use parent::{Launch, Manner, Stdio, exec, exec_as, start, start_as};
pub use plan::{Plan, PlanError, ProcessPlan};
pub use report::{Failure, Message};
