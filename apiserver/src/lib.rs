//! The API server: the only door to the store. Authenticates, authorizes, admits, defaults, validates and stores objects, and
//! tells everybody who watches.
//!
//! ```text
//! http/ -> auth/ -> admission/, kinds/, patch/ (pure) -> registry/ -> storage/
//! ```
//! `docs/flow.md` follows one `apply` through it.

mod admission;
mod aggregated;
mod auth;
mod cel;
mod customs;
mod decode;
mod discovery;
mod fields;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod kinds;
pub mod patch;
mod registry;
mod services;
mod storage;
mod subresources;
mod table;
mod webhook;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use minik_api::notify;
use minik_api::status::Status;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use crate::auth::rbac::uncovered_rules;

use crate::aggregated::{Aggregated, Authorities, Connector, ProxyFiles};
use crate::auth::Authenticator;
use crate::auth::authenticate::TokenFile;
use crate::auth::rbac;
use crate::auth::token::{self, Tokens};
use crate::http::{Api, Capacity, Server, router, tls_config};
use crate::registry::Registry;
use crate::storage::{OpenError, Store};
use crate::subresources::kubelet::{KubeletClient, KubeletFiles};

pub use crate::auth::authenticate::TokenFileError;
pub use crate::auth::token::KeyError;
pub use crate::http::{Limits, ServeError};
pub use crate::registry::{InvalidRange, ServiceRange};

/// How often a snapshot is written when something has changed.
const SNAPSHOT: Duration = Duration::from_secs(600);

/// Where the API server listens, whom it trusts, and where it keeps the objects.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Directory for the store; made when it isn't there
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Address to listen on; may be given several times
    #[arg(long, default_values = ["127.0.0.1", "::1"])]
    pub bind_address: Vec<IpAddr>,
    /// Port to listen on
    #[arg(long, default_value_t = 6443)]
    pub port: u16,
    /// The server's certificate, PEM
    #[arg(long)]
    pub tls_cert_file: PathBuf,
    /// The key of the server's certificate, PEM
    #[arg(long)]
    pub tls_private_key_file: PathBuf,
    /// Who signs the certificates of clients, PEM
    #[arg(long)]
    pub client_ca_file: PathBuf,
    /// Certificate to show to kubelets, PEM
    #[arg(long, requires = "kubelet_client_key")]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// The key of the certificate to show to kubelets, PEM
    #[arg(long, requires = "kubelet_client_certificate")]
    pub kubelet_client_key: Option<PathBuf>,
    /// Who signs the certificates of kubelets, PEM; without it there are no logs and no exec
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// Certificate to show to servers that requests are passed on to, PEM
    #[arg(long, requires = "proxy_client_key_file")]
    pub proxy_client_cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, requires = "proxy_client_cert_file")]
    pub proxy_client_key_file: Option<PathBuf>,
    /// By whom those servers know that certificate, PEM
    #[arg(long)]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Which names that certificate may have
    #[arg(long, value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// Addresses for services
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cidr: ServiceRange,
    /// Users and their bearer tokens, lines of token,user,uid,"groups"
    #[arg(long)]
    pub token_auth_file: Option<PathBuf>,
    /// Who the tokens of service accounts say made them
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    pub service_account_issuer: String,
    /// The key that signs the tokens of service accounts, ECDSA on P-256, PEM; made in the data directory unless given
    #[arg(long)]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// For whom tokens may be meant that are taken here; the issuer unless given
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,
    /// By whom pods know this server, PEM; the client CA unless given
    #[arg(long)]
    pub root_ca_file: Option<PathBuf>,
    /// How long events are kept after they were last written
    #[arg(long, default_value = "1h")]
    pub event_ttl: SignedDuration,
    /// What a client may take
    #[command(flatten)]
    pub limits: Limits,
}

/// Why the API server doesn't serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("can't open the store below {}", path.display())]
    OpenStore {
        /// The data directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificates or addresses.
    #[error("can't serve")]
    Serve(#[from] ServeError),
    /// The key that signs tokens.
    #[error("can't make tokens")]
    Key(#[from] KeyError),
    /// The users of `--token-auth-file`.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    /// By whom somebody is known.
    #[error("can't read the authority's certificate in {}", path.display())]
    RootAuthority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What everything relies on can't be created.
    #[error("can't create the initial namespaces, services and roles")]
    Bootstrap(#[source] Status),
    /// The disk failed under the store.
    #[error("the store can't be written to any more; start the API server again")]
    StoreFailed,
    /// Signals.
    #[error("can't wait for signals")]
    Signal(#[source] io::Error),
    /// The supervisor.
    #[error("can't tell the supervisor")]
    Notify(#[source] io::Error),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the store doesn't open, a certificate is no good or an address is taken; or when the disk fails under the store.
pub async fn run(config: Config) -> Result<(), Error> {
    // Before anything is acknowledged: a stop at any time has to end in a snapshot.
    let mut signals = Signals::new().map_err(Error::Signal)?;
    http::raise_open_files();
    run_until(config, async move { signals.next().await }).await
}

/// Serves until `stopped` is done.
///
/// # Errors
/// Those of [`run`].
pub async fn run_until(config: Config, stopped: impl Future<Output = ()>) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let tls = tls_config(
        &config.tls_cert_file,
        &config.tls_private_key_file,
        &config.client_ca_file,
    )?;
    let kubelet = KubeletClient::new(&KubeletFiles {
        identity: config
            .kubelet_client_certificate
            .as_ref()
            .zip(config.kubelet_client_key.as_ref()),
        authority: config.kubelet_certificate_authority.as_deref(),
    })?;
    let connector = Connector::new(&ProxyFiles {
        identity: config
            .proxy_client_cert_file
            .as_ref()
            .zip(config.proxy_client_key_file.as_ref()),
    })?;
    let authority = read_authority(config.root_ca_file.as_ref().unwrap_or(&config.client_ca_file))?;
    let authorities = Authorities {
        client: read_authority(&config.client_ca_file)?,
        proxy: config
            .requestheader_client_ca_file
            .as_deref()
            .map(read_authority)
            .transpose()?,
        allowed_names: config.requestheader_allowed_names.clone(),
    };
    let file = config.token_auth_file.as_deref().map(TokenFile::read).transpose()?;
    let (store, writer) =
        Store::open(&config.data_dir, registry::index).map_err(|source| open_error(&config, source))?;
    let tokens = Arc::new(open_tokens(&config, store.clone())?);
    let registry = Registry::new(store.clone(), config.service_cidr);
    create_initial_objects(&registry, config.port, &authority, &authorities)
        .await
        .map_err(Error::Bootstrap)?;
    let customs = registry.serve_customs();
    let server = Server::bind(&config.bind_address, config.port, tls).await?;
    let background = [
        tokio::spawn(registry.clone().tend_namespaces(authority.clone())),
        tokio::spawn(registry.clone().tend_customs(customs)),
        tokio::spawn(registry.clone().tend_quotas()),
        tokio::spawn(registry.clone().expire_events(config.event_ttl)),
        tokio::spawn(rbac::aggregate::tend(registry.clone())),
        tokio::spawn(token::legacy::tend(registry.clone(), tokens.clone(), authority)),
        tokio::spawn(write_snapshots(store.clone(), config.data_dir.clone())),
    ];
    let capacity = Capacity::new(http::open_files(), config.limits.max_connections);
    let api = Arc::new(Api {
        registry,
        authenticator: Authenticator {
            tokens,
            file: file.unwrap_or_default(),
        },
        fairness: http::Fairness::new(capacity),
        body_timeout: config.limits.body_timeout.unsigned_abs(),
        crowds: http::Crowds::default(),
        aggregated: Aggregated::new(connector),
        kubelet,
        stop: stop.clone(),
    });
    let aggregation = tokio::spawn(aggregated::tend(api.clone()));
    notify::ready().map_err(Error::Notify)?;
    tracing::info!(port = config.port, revision = store.revision().0, "serving");
    let serving = server.serve(router(api), &config.limits, capacity, stop.clone());
    let ((), failed) = tokio::join!(serving, async {
        let failed = tokio::select! {
            () = stopped => false,
            () = writer.failed() => true,
        };
        tracing::info!("stopping");
        stop.cancel();
        failed
    });
    background.iter().for_each(tokio::task::JoinHandle::abort);
    aggregation.abort();
    write_snapshot(store, config.data_dir).await;
    writer.join().await;
    if failed { Err(Error::StoreFailed) } else { Ok(()) }
}

async fn create_initial_objects(
    registry: &Registry,
    port: u16,
    authority: &str,
    authorities: &Authorities,
) -> Result<(), Status> {
    registry.create_initial_namespaces().await?;
    tokio::try_join!(
        registry.create_initial_objects(port),
        registry.tend_initial(authority),
        registry.publish_authorities(authorities),
        rbac::bootstrap::reconcile(registry),
    )?;
    Ok(())
}

fn read_authority(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::RootAuthority {
        path: path.to_owned(),
        source,
    })
}

fn open_tokens(config: &Config, store: Store) -> Result<Tokens, KeyError> {
    let own = config.data_dir.join("service-account.key");
    let key = config.service_account_signing_key_file.as_deref().unwrap_or(&own);
    Tokens::open(
        store,
        key,
        config.service_account_issuer.clone(),
        config.api_audiences.clone(),
    )
}

fn open_error(config: &Config, source: OpenError) -> Error {
    Error::OpenStore {
        path: config.data_dir.clone(),
        source: Box::new(source),
    }
}

async fn write_snapshots(store: Store, directory: PathBuf) {
    let mut written = store.revision();
    let mut interval = tokio::time::interval(SNAPSHOT);
    // The first tick is now, and what was loaded is on disk.
    interval.tick().await;
    loop {
        interval.tick().await;
        if store.revision() != written {
            written = store.revision();
            write_snapshot(store.clone(), directory.clone()).await;
        }
    }
}

/// A snapshot that can't be written is a pity, not a reason to stop: the log has everything.
async fn write_snapshot(store: Store, directory: PathBuf) {
    let written = tokio::task::spawn_blocking(move || store.write_snapshot(&directory)).await;
    match written {
        Ok(Ok(path)) => tracing::debug!(path = %path.display(), "snapshot written"),
        Ok(Err(error)) => tracing::warn!(%error, "can't write a snapshot"),
        Err(error) => tracing::warn!(%error, "writing a snapshot panicked"),
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
