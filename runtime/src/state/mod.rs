//! What the daemon has to know after it was restarted: a record on disk for each sandbox and container.
//!
//! ```text
//!   sandbox    Starting ── shim and network are there ──> Ready ── StopPodSandbox ──> Stopped ── RemovePodSandbox ──> no record
//!                  │                                        └── the shim died ──> Lost ──┘ StopPodSandbox
//!                  └── it failed, or the daemon died meanwhile ──> undone, no record
//!
//!   container  Created ── StartContainer ──> Running ── its process ended, or the shim died ──> Exited ── Remove… ──> no record
//!                  └── it couldn't be started (StartError) ─────────────────────────────────────^
//! ```
//!
//! A record is written before what it speaks of is made, and removed after that is gone: what a crash leaves behind is always
//! named by a record. Records are replaced atomically (write, rename) but not synced: after a power loss nothing runs that they
//! could speak of, and what can't be read is removed as a whole.
//!
//! In memory each record stands in a watch channel: who waits for an exit is woken by the transition itself.

mod container;
mod entry;
mod protobuf;
mod sandbox;
mod store;

pub(crate) use container::{ContainerPhase, ContainerRecord, Exit, UserRecord};
pub(crate) use entry::Entry;
pub(crate) use sandbox::{SandboxNetwork, SandboxPhase, SandboxRecord};
pub(crate) use store::{Lookup, Store};

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be kept in a [`Store`].
pub(crate) trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name in messages, as containerd's: `sandbox`, `container`.
    const KIND: &'static str;
    fn id(&self) -> &str;
}

/// What can go wrong with records.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StateError {
    #[error("list the records in {path}")]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("write the record {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("remove the record {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;
