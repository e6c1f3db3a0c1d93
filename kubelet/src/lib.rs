//! The kubelet: makes the pods that are bound to this node run, through any CRI v1 runtime, and says how they are.
//!
//! ```text
//!   API server --watch--> pods --one worker a pod--> pod/ (observe, decide, perform, status)
//!        ^                                             |  spec/ volumes/ probes/
//!        |  statuses, events, Node, Lease              v
//!        +-------------------------------- cri (gRPC) --> runtime
//!   API server --logs, exec, attach, port-forward--> server/ --> log files, the runtime's streams
//! ```
//!
//! It reads nothing but the API server and the runtime, and keeps no state of its own on disk but the pods' directories: a
//! kubelet that restarts finds everything where it left it, and touches no running container.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::{mpsc, watch};
use tracing::info;

mod context;
mod cri;
mod garbage;
mod image_garbage;
mod image_name;
mod node;
mod objects;
mod pod;
mod pods;
mod probes;
mod progress;
mod recorder;
mod server;
mod services;
mod spec;
mod tokens;
mod user_range;
mod volumes;
mod words;

/// Between attempts to reach a runtime that isn't there yet.
const RUNTIME_RETRY: Duration = Duration::from_millis(50);
/// Looks that may wait.
const LOOKS: usize = 256;

/// What a kubelet is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// How to reach the API server, and as whom (system:node:NAME).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// The container runtime: unix:///path/to/socket.
    #[arg(long, value_name = "URL")]
    pub container_runtime_endpoint: String,
    /// Where the pods' volumes and logs are kept.
    #[arg(long, value_name = "DIR")]
    pub root_dir: PathBuf,
    /// The name that this node has in the cluster; the host's name unless said.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// The addresses that this node has in the cluster.
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Where logs, exec, attach and port-forward are served.
    #[arg(long, value_name = "PORT", default_value_t = 10250)]
    pub port: u16,
    /// The address to serve on; the first of --node-ip unless said.
    #[arg(long, value_name = "IP")]
    pub address: Option<IpAddr>,
    /// The certificate to serve with.
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: PathBuf,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    pub tls_private_key_file: PathBuf,
    /// Clients have to show a certificate of this authority.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: PathBuf,
    /// The cgroup below which the pods' cgroups are made.
    #[arg(long, value_name = "PATH", default_value = "/minik-default")]
    pub cgroup_parent: String,
    /// The range that this node's pods have their addresses from.
    #[arg(long, value_name = "CIDR", default_value = "")]
    pub pod_cidr: String,
    /// Unused images go when the runtime's disk is fuller than this.
    #[arg(long, value_name = "PERCENT", default_value_t = 85, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_gc_high_threshold: u8,
    /// They go until it is no fuller than this.
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_gc_low_threshold: u8,
    /// How long an image stays before it may go, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub minimum_image_ttl_duration: u64,
}

/// Why a kubelet doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig can't be read or doesn't make a client.
    #[error("--kubeconfig {path:?}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No UNIX socket.
    #[error("{0}")]
    Endpoint(String),
    /// The root directory can't be made.
    #[error("making --root-dir {path:?}: {source}")]
    Root {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// This machine can't be read.
    #[error("finding out about this machine: {0}")]
    Machine(String),
    /// The port can't be served.
    #[error("{0}")]
    Serve(String),
}

/// Runs until the process ends.
///
/// # Errors
/// Those of starting: afterwards everything is tried again until it succeeds.
pub async fn run(config: Config) -> Result<(), Error> {
    // Several crates bring rustls; whichever comes first, the provider is ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
    make_root(&config)?;
    let client = client(&config).await?;
    let endpoint = cri::client::Client::new(&config.container_runtime_endpoint);
    let runtime: Arc<dyn cri::Runtime> = Arc::new(endpoint.map_err(|error| Error::Endpoint(error.to_string()))?);
    let facts = facts(&config, &*runtime).await?;
    let (recorder, records) = recorder::Recorder::new();
    let (progress, pulls) = watch::channel(progress::Pulls::new());
    let (services, services_known) = watch::channel(None);
    let context = Arc::new(context::Context {
        node: spec_node(&config, &facts),
        host: pod::status::Host {
            ips: facts.ips.clone(),
            runtime_name: facts.runtime_version.split("://").next().unwrap_or_default().to_owned(),
        },
        runtime: Arc::clone(&runtime),
        lookup: Arc::new(objects::Server::new(client.clone())),
        pods: Arc::new(pod::writer::Server(client.clone())),
        recorder: recorder.clone(),
        pulls,
        services: services_known,
        watches: Some(volumes::refresh::Watches::new(client.clone())),
    });
    let (pods, known) = pods::Pods::new(Arc::clone(&context));
    let served = server::listen(&config, Arc::clone(&context), known.clone()).await;
    let server = served.map_err(|error| Error::Serve(error.to_string()))?;
    let (look, looks) = mpsc::channel(LOOKS);
    let images = image_garbage::Collector {
        runtime: Arc::clone(&runtime),
        recorder: recorder.clone(),
        node: context.node.name.clone(),
        policy: image_garbage::Policy {
            high_percent: config.image_gc_high_threshold,
            low_percent: config.image_gc_low_threshold.min(config.image_gc_high_threshold),
            minimum_age: Duration::from_secs(config.minimum_image_ttl_duration),
        },
    };
    let node = node::Node {
        client: client.clone(),
        runtime: Arc::clone(&runtime),
        recorder,
        facts,
    };
    // READY=1 only means that the port accepts; whether the node is Ready, the API server knows.
    if let Err(error) = minik_api::notify::ready() {
        info!(%error, "whoever started this process couldn't be told that it is ready");
    }
    let name = context.node.name.clone();
    tokio::join!(
        server,
        node.run(),
        recorder::post(client.clone(), name, records),
        cri::events::follow(Arc::clone(&runtime), look),
        progress::follow(runtime, progress),
        garbage::collect(Arc::clone(&context), known),
        images.run(),
        services::follow(client.clone(), services),
        pods.run(client, looks),
    );
    Ok(())
}

fn make_root(config: &Config) -> Result<(), Error> {
    for dir in [
        config.root_dir.clone(),
        config.root_dir.join("pods"),
        config.root_dir.join("pods-logs"),
    ] {
        volumes::files::directory(&dir, 0o700).map_err(|error| Error::Root {
            path: dir,
            source: std::io::Error::other(error.to_string()),
        })?;
    }
    Ok(())
}

async fn client(config: &Config) -> Result<kube::Client, Error> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| Error::Kubeconfig {
        path: config.kubeconfig.clone(),
        source,
    };
    let kubeconfig = Kubeconfig::read_from(&config.kubeconfig).map_err(|error| wrong(error.into()))?;
    let client = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = client.map_err(|error| wrong(error.into()))?;
    kube::Client::try_from(client).map_err(|error| wrong(error.into()))
}

/// What this node is. Waits for the runtime, whose version is part of it.
async fn facts(config: &Config, runtime: &dyn cri::Runtime) -> Result<node::facts::Facts, Error> {
    let machine = node::facts::machine(&config.root_dir).map_err(|error| Error::Machine(error.to_string()))?;
    let mut is_told = false;
    let version = loop {
        match runtime.version().await {
            Ok(version) => break version,
            Err(error) => {
                if !is_told {
                    info!(%error, endpoint = config.container_runtime_endpoint, "waiting for the container runtime");
                    is_told = true;
                }
                tokio::time::sleep(RUNTIME_RETRY).await;
            }
        }
    };
    let hostname = || nix::unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase());
    let name = match &config.node_name {
        Some(name) => name.clone(),
        None => hostname().map_err(|error| Error::Machine(format!("its host name: {error}")))?,
    };
    Ok(node::facts::Facts {
        name,
        ips: config.node_ip.iter().map(ToString::to_string).collect(),
        port: config.port,
        pod_cidr: config.pod_cidr.clone(),
        runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
        ..machine
    })
}

fn spec_node(config: &Config, facts: &node::facts::Facts) -> spec::Node {
    spec::Node {
        name: facts.name.clone(),
        ips: facts.ips.clone(),
        memory_bytes: facts.memory_bytes,
        milli_cpus: facts.milli_cpus,
        cgroup_v2: facts.cgroup_v2,
        cgroup_parent: config.cgroup_parent.clone(),
        root: config.root_dir.clone(),
    }
}
