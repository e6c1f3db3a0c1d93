//! The kernel, one function a syscall: the only place of the project where `unsafe` is allowed.
//!
//! What the nix crate already offers safely is used from there; here stand the calls that it lacks, each with the manual
//! page it comes from and the reason why it is sound. Nothing here decides anything.

#![allow(unsafe_code, reason = "this module is the project's boundary to raw system calls")]

pub mod bpf;
pub mod capabilities;
pub mod clone;
pub mod command;
pub mod descriptors;
pub mod interface;
pub mod keyring;
pub mod memory;
pub mod mounts;
pub mod pidfd;
pub mod priority;
pub mod seccomp;
pub mod signals;
pub mod terminal;
pub mod users;
pub mod xattr;

use nix::errno::Errno;

/// Turns the raw return value of a syscall into a result, reading errno on -1.
fn check(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}
