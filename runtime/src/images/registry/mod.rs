//! The client of the OCI distribution specification: how a pull talks to registries.
//!
//! ```text
//! reference + mirrors -> endpoints (which hosts, in which order)
//! endpoint + credentials -> session (one repository at one host: challenge, token, retries)
//! session -> manifests in memory, blobs as streams that resume; upload -> the other way round
//! ```
//! What the network answers becomes a `PullError` in `failure`, by the types of the errors, never by their text.

mod blob;
mod challenge;
mod client;
mod credentials;
mod docker_config;
mod endpoint;
mod failure;
mod session;
mod token;
mod upload;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use blob::Blob;
pub(crate) use client::Clients;
pub use credentials::{Access, Credentials};
pub use docker_config::DockerConfigError;
pub(crate) use docker_config::credentials_for;
pub(crate) use endpoint::{Endpoint, endpoints, itself};
pub use endpoint::{InvalidMirror, Mirror};
pub(crate) use session::{Fetched, Session};
pub(crate) use upload::Upload;

/// Everything about registries that the node's owner decides.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Tried in this order before the registry itself.
    pub mirrors: Vec<Mirror>,
    /// docker's `config.json` with logins; used where a pull brings no credentials.
    pub docker_config: Option<PathBuf>,
    /// How long to wait, and when to try again.
    pub patience: Patience,
}

/// How long to wait for a registry, and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a TCP connection and TLS.
    pub connect: Duration,
    /// For an answer to begin, and between two pieces of a body: however slow a link is, something comes.
    pub stall: Duration,
    /// Attempts at one request or one stretch of a body, the first one included.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            attempts: 4,
            backoff: Duration::from_millis(300),
        }
    }
}

impl Patience {
    /// Before the attempt after `attempt` (counted from 1), with up to a half more, so that many clients spread out.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let base = self.backoff * 2u32.saturating_pow(attempt.saturating_sub(1)).min(64);
        base.mul_f64(1.0 + rand::random::<f64>() / 2.0)
    }
}
