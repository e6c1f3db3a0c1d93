//! The controllers: whoever tends what others have written, until the cluster is as it was asked for.
//!
//! A client of the API server like any other, in one process: one connection, one view of what there is, and a pure decision
//! for each thing that is tended.
//!
//! ```text
//!   discovery ──> a watch of the metadata of every kind ──> graph (garbage/) ──┬─> garbage: owners that are gone
//!    (watches)                                                                 └─> namespace: emptied before they go
//!                                                              └─> certificates: signed once they are approved
//!                                             what was decided ──> effects ──> API server
//! ```
//! What isn't here: default service accounts and the built-in objects, which the API server itself makes, because nothing can be
//! created without them.

mod certificates;
mod client;
mod effects;
mod garbage;
mod namespace;
mod run;
mod watches;

use std::path::PathBuf;

use jiff::SignedDuration;

use certificates::Authority;

pub use certificates::AuthorityError;

/// How the controllers are started.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Kubeconfig with the address of the API server and this program's credentials.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Who signs the certificates that are asked for, PEM; without it nobody does
    #[arg(long, value_name = "FILE", requires = "cluster_signing_key_file")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// The key with which they are signed, PEM
    #[arg(long, value_name = "FILE", requires = "cluster_signing_cert_file")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// How long a certificate is good for at most
    #[arg(long, value_name = "DURATION", default_value = "8760h")]
    pub cluster_signing_duration: SignedDuration,
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
    /// There is nobody who signs.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
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
    let files = config.cluster_signing_cert_file.zip(config.cluster_signing_key_file);
    let authority = files
        .map(|(certificate, key)| Authority::read(&certificate, &key, config.cluster_signing_duration))
        .transpose()?;
    run::run(client, authority).await
}
