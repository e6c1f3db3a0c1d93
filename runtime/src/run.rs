//! Starting the daemon: opens what it keeps, finds what runs, serves until it is told to stop. And its opposite, undo.

use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minik_api::build::builder_server::BuilderServer;
use minik_api::containers::containers_server::ContainersServer;
use minik_api::cri::image_service_server::ImageServiceServer;
use minik_api::cri::runtime_service_server::RuntimeServiceServer;
use minik_api::images::images_server::ImagesServer;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::Config;
use crate::build::BuildService;
use crate::cgroup::{self, CgroupError, CgroupPath};
use crate::cri::{ContainerStreams, ImageServer, RuntimeServer, TraceLayer, remove_files};
use crate::ctr::{self, ContainersService, Ctr};
use crate::daemon::Daemon;
use crate::handlers::HandlerError;
use crate::host;
use crate::images::registry::Registries;

use crate::images::{Images, ImagesService, OpenError};
use crate::network::{Network, NetworkError, NetworkPlan};
use crate::sandbox::{self, SandboxError};
use crate::state::{StateError, Store};
use crate::streaming::{Streaming, StreamingError};

/// Why the runtime doesn't start, or ended.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("the runtime has to be root: it makes namespaces, mounts and cgroups")]
    NotRoot,
    #[error(transparent)]
    OciRuntime(HandlerError),
    #[error("make the directory {path}")]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another runtime uses {0}: stop it first, or give this one another --root")]
    Locked(PathBuf),
    #[error("lock {path}")]
    Lock {
        path: PathBuf,
        #[source]
        errno: Errno,
    },
    #[error("find the host's cgroups")]
    Cgroups(#[source] CgroupError),
    #[error("open the images")]
    Images(#[from] OpenError),
    #[error("set up the network")]
    Network(#[from] NetworkError),
    #[error("read the records")]
    State(#[from] StateError),
    #[error("find the sandboxes again")]
    Recover(#[source] SandboxError),
    #[error("stop a sandbox")]
    Stop(#[source] SandboxError),
    #[error("serve exec, attach and port-forward")]
    Streaming(#[from] StreamingError),
    #[error("listen on {path}")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("wait for signals")]
    Signals(#[source] io::Error),
    #[error("tell the starter that the runtime serves")]
    Notify(#[source] io::Error),
    #[error("serve the CRI")]
    Serve(#[from] tonic::transport::Error),
    #[error("remove {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Serves the CRI until SIGTERM or SIGINT. Pods run on after it.
pub async fn run(config: Config) -> Result<(), Error> {
    // Before anything is done that a signal shouldn't cut off.
    let stopped = stopped()?;
    let (daemon, _lock) = open(config).await?;
    let backend = Arc::new(ContainerStreams::new(Arc::clone(&daemon)));
    let (streaming, accepting) = Streaming::listen(daemon.config.streaming_address, backend).await?;
    let listener = listen(&daemon.config.listen)?;
    let images = daemon.images.clone();
    tokio::spawn(async move {
        if let Err(error) = images.collect_left_behind().await {
            tracing::warn!(error = crate::images::error::chain(&error), "collect what a crash left");
        }
    });
    let serving = Server::builder()
        .layer(TraceLayer)
        .add_service(RuntimeServiceServer::new(RuntimeServer::new(
            Arc::clone(&daemon),
            streaming,
        )))
        .add_service(ImagesServer::new(ImagesService::new(daemon.images.clone())))
        .add_service(BuilderServer::new(BuildService::new(Arc::clone(&daemon))))
        .add_service(ContainersServer::new(ContainersService::new(Arc::clone(&daemon))))
        .add_service(ImageServiceServer::new(ImageServer::new(Arc::clone(&daemon))))
        .serve_with_incoming(UnixListenerStream::new(listener));
    minik_api::notify::ready().map_err(Error::Notify)?;
    tracing::info!(socket = %daemon.config.listen.display(), "the runtime serves");
    let ended = tokio::select! {
        served = serving => served.map_err(Error::Serve),
        () = accepting => Ok(()),
        // Watches never end by themselves, so nobody is waited for; a verb that is cut off is undone at the next start.
        () = stopped => Ok(()),
    };
    // The next one binds it anew; until then a client is refused at once.
    let _ = fs::remove_file(&daemon.config.listen);
    ended
}

/// Stops all sandboxes and removes the instance's network, mounts and cgroups. Images and records stay.
/// The runtime itself must have ended.
pub async fn undo(config: Config) -> Result<(), Error> {
    let record = network_record(&config);
    let (daemon, _lock) = open(config).await?;
    for entry in daemon.sandboxes.all() {
        sandbox::stop(&daemon, &entry).await.map_err(Error::Stop)?;
    }
    ctr::stop_all(&daemon).await;
    Network::undo(&record)?;
    match CgroupPath::parse(&daemon.config.cgroup_parent).and_then(|path| daemon.cgroups.remove(&path)) {
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, "leave the pods' cgroup"),
    }
    remove_directory(&daemon.config.state)
}

/// Opens everything and brings records and processes together. The lock is held for as long as the daemon lives.
async fn open(config: Config) -> Result<(Arc<Daemon>, Flock<File>), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    for directory in [&config.root, &config.state] {
        make_directory(directory)?;
    }
    let lock = lock(&config.root)?;
    let cgroups = cgroup::detect().map_err(Error::Cgroups)?;
    // While this process has one thread, which the trial wants.
    let host = host::capabilities(cgroups.as_ref(), &config.root);
    let registries = Registries {
        mirrors: config.registry_mirrors.clone(),
        docker_config: config.docker_config.clone(),
        ..Registries::default()
    };
    let images = Images::open(&config.root, registries)?;
    let network = Network::open(network_plan(&config), &network_record(&config))?;
    if let Err(error) = network.masquerade() {
        tracing::warn!(error = %crate::images::error::chain(error), "pods reach nothing beyond this node");
    }
    let (sandboxes, unreadable_sandboxes) = Store::open(&config.root.join("sandboxes"))?;
    let (containers, unreadable_containers) = Store::open(&config.root.join("containers"))?;
    let (ctr, unreadable_ctr) = Ctr::open(&config.root)?;
    let daemon = Arc::new(Daemon::new(
        config,
        images,
        network,
        (cgroups, host),
        sandboxes,
        containers,
        ctr,
    ));
    daemon.handlers.find("").map_err(Error::OciRuntime)?;
    remove_unreadable(&daemon, &unreadable_sandboxes, &unreadable_containers)?;
    for id in unreadable_ctr {
        tracing::warn!(container = %id, "remove a container whose record can't be read");
        remove_directory(&daemon.ctr.records.directory_of(&id))?;
    }
    sandbox::recover::recover(&daemon).await.map_err(Error::Recover)?;
    ctr::recover(&daemon).await;
    Ok((daemon, lock))
}

/// A power loss cut these records off; nothing runs any more that they could speak of.
fn remove_unreadable(daemon: &Daemon, sandboxes: &[String], containers: &[String]) -> Result<(), Error> {
    for id in sandboxes {
        tracing::warn!(sandbox = %id, "remove a sandbox whose record can't be read");
        remove_directory(&daemon.sandboxes.directory_of(id))?;
    }
    for id in containers {
        tracing::warn!(container = %id, "remove a container whose record can't be read");
        if let Err(status) = remove_files(daemon, id) {
            tracing::warn!(container = %id, error = status.message(), "its files");
        }
        remove_directory(&daemon.containers.directory_of(id))?;
    }
    Ok(())
}

fn network_plan(config: &Config) -> NetworkPlan {
    NetworkPlan {
        pod_cidr: config.pod_cidr,
        service_cidr: config.service_cidr,
        interface_prefix: config.interface_prefix.clone(),
        table: format!("minik-{}", config.instance),
    }
}

/// In the state directory: routes and rules don't survive the machine's restart either.
fn network_record(config: &Config) -> PathBuf {
    config.state.join("network.json")
}

fn make_directory(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::Directory {
        path: path.to_owned(),
        source,
    })
}

fn remove_directory(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn lock(root: &Path) -> Result<Flock<File>, Error> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(|source| Error::Directory {
        path: path.clone(),
        source,
    })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EAGAIN => Error::Locked(root.to_owned()),
        errno => Error::Lock { path, errno },
    })
}

/// The lock says that nobody else serves, so a socket that is there was left by one that was killed.
fn listen(path: &Path) -> Result<UnixListener, Error> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    let listening = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    listening().map_err(|source| Error::Listen {
        path: path.to_owned(),
        source,
    })
}

/// Ends at SIGTERM or SIGINT. Registered at once, so that none is missed.
fn stopped() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
