//! The kernel, one function a syscall: the only place of the project where `unsafe` is allowed.
//!
//! What the nix crate already offers safely is used from there; here stand the calls that it lacks, each with the manual
//! page it comes from and the reason why it is sound. Nothing here decides anything.

#![allow(unsafe_code, reason = "this module is the project's boundary to raw system calls")]

pub mod xattr;
