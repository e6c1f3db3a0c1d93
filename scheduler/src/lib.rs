//! The scheduler: gives each pod that has no node one, and says why when it can't.
//!
//! It stands between the API server, whose watches of pods and nodes it follows, and the kubelet, which takes over once
//! `spec.nodeName` is set. It starts nothing and reads no machine: all that it knows is what the API says.
//!
//! ```text
//!   watch pods, nodes ──> snapshot ──> queue ──> decide(pod, snapshot) ──> bind │ say why not
//!        (run)            (pure)      (pure)      filters, then scores           (effects)
//! ```

mod decide;
mod effects;
mod filters;
mod queue;
mod requests;
mod run;
mod scores;
mod snapshot;

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};

/// The name that a pod's `spec.schedulerName` has to give for this scheduler to look at it.
pub const NAME: &str = "default-scheduler";

/// How the scheduler is started.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Kubeconfig with the address of the API server and this program's credentials.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
}

/// Why the scheduler could not start or had to stop.
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

/// Schedules pods until SIGTERM or SIGINT.
///
/// # Errors
/// When the kubeconfig can't be used. An API server that isn't there is waited for.
pub async fn run(config: Config) -> Result<(), Error> {
    let path = config.kubeconfig;
    let kubeconfig = Kubeconfig::read_from(&path).map_err(|source| Error::ReadKubeconfig {
        path: path.clone(),
        source,
    })?;
    let client_config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|source| Error::ReadKubeconfig {
            path: path.clone(),
            source,
        })?;
    let client = kube::Client::try_from(client_config).map_err(|source| Error::MakeClient {
        path,
        source: Box::new(source),
    })?;
    run::run(client).await
}
