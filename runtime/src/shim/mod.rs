//! The shim: one process a pod that owns its namespaces and containers, and lives on when the daemon dies.
//!
//! ```text
//!   daemon --- shim.sock: JSON frames, descriptors ---> server     one thread, one epoll, no async runtime
//!                                                        |-- launch: clones containers and execs from itself
//!                                                        |-- streams: pipes and terminals -> CRI log, attached clients
//!                                                        |-- ports: listening sockets of the host -> the pod
//!                                                        +-- reaps, writes exit.json, tells subscribers
//! ```
//!
//! It stays in the cgroup that it was started in, outside the pod's limits: a pod that is out of memory must not take the
//! one that reports it along. If it is killed all the same, its containers die with it (see [`crate::launch`]), and the
//! next daemon finds the sandbox without a shim.

mod client;
mod connection;
mod containers;
mod descendants;
mod dial;
mod exit;
mod foreign;
mod invocation;
mod life;
mod log;
mod namespaces;
mod oci_runtime;
mod poller;
mod ports;
mod protocol;
mod relay;
mod requests;
mod server;
mod spec;
mod streams;
mod udp;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub use client::{Events, Exec, ExecStdio, Shim, ShimError, Started};
pub use dial::TRACEPARENT;
pub use exit::Exit;
pub use namespaces::clean;
pub use oci_runtime::OciRuntime;
pub use protocol::{ContainerState, Fault, FaultKind, ShimEvent};
pub use spec::{NamespaceSource, PidMode, PortMapping, Protocol, SandboxSpec};

/// How a shim is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimConfig {
    /// The sandbox's directory, with its `sandbox.json`.
    pub sandbox_dir: PathBuf,
}

/// Runs a shim until it is told to shut down. Its stdout is the pipe on which the starter waits: `R` when all is ready,
/// or `E` and why not.
#[must_use]
pub fn main(config: &ShimConfig) -> ExitCode {
    let told = |text: &str| {
        let mut stdout = std::io::stdout();
        // The starter may have gone; the shim then serves whoever connects next.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    };
    match server::Server::set_up(config) {
        Ok(server) => {
            told("R");
            if let Err(error) = namespaces::release_stdout() {
                eprintln!("shim: {error}");
            }
            server.run()
        }
        Err(error) => {
            eprintln!("shim: {error}");
            told(&format!("E{error}"));
            ExitCode::FAILURE
        }
    }
}
