//! The controllers: whoever tends what others have written, until the cluster is as it was asked for.
//!
//! A client of the API server like any other, in one process: one connection, one view of what there is, and a pure decision
//! for each thing that is tended.
//!
//! ```text
//!   discovery ──> a watch of the metadata of every kind ──> graph (garbage/) ──┬─> garbage: owners that are gone
//!    (watches)                                                                 └─> namespace: emptied before they go
//!                                             what was decided ──> effects ──> API server
//! ```
//! What isn't here: default service accounts and the built-in objects, which the API server itself makes, because nothing can be
//! created without them.

mod client;
mod effects;
mod garbage;
mod namespace;
mod run;
mod watches;

use std::path::PathBuf;

/// How the controllers are started.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Kubeconfig with the address of the API server and this program's credentials.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
}

/// Why the controllers could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig can't be read.
    #[error("cannot read the kubeconfig {path}; `minikctl up` writes it")]
    ReadKubeconfig {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// The kubeconfig's certificates or address can't be used.
    #[error("cannot make a client of the API server from the kubeconfig {path}")]
    MakeClient {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<kube::Error>,
    },
    /// Listening for SIGTERM failed.
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] std::io::Error),
    /// Telling the supervisor failed.
    #[error("cannot say READY on NOTIFY_SOCKET")]
    Notify(#[source] std::io::Error),
}

/// Tends the cluster until SIGTERM or SIGINT.
///
/// # Errors
/// When the kubeconfig can't be used. An API server that isn't there is waited for.
pub async fn run(config: Config) -> Result<(), Error> {
    let client = client::open(&config.kubeconfig).await?;
    run::run(client).await
}
