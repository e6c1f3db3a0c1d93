//! The OCI command line on the real kernel: hand-made bundles of a busybox root, seen from inside and outside.
//!
//! Needs root and /bin/busybox (`apt-get install busybox-static`). Each container has a network of its own without any
//! interface but loopback, and a cgroup `/minik-oci-test-<pid>-<n>`; a bundle that is dropped leaves nothing of both.

#![allow(clippy::unwrap_used, reason = "a test that can't go on says where")]

mod bundle;
mod exec;
mod hardening;
mod hooks;
mod lifecycle;
mod sections;
mod terminal;
mod users;
