//! Starting a sandbox. Each step's trace is in the record before the step is done, so that a daemon which dies in between
//! leaves nothing that its successor doesn't find.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use minik_api::cri;

use super::{SandboxError, files, follow, spec, stop};
use crate::daemon::{Daemon, new_id, now_nanos};
use crate::shim::{SandboxSpec, Shim};
use crate::state::{Entry, SandboxNetwork, SandboxPhase, SandboxRecord};

/// What the kubelet asks for.
pub(crate) struct RunRequest {
    pub(crate) config: cri::PodSandboxConfig,
    pub(crate) runtime_handler: String,
}

/// Runs a sandbox until it is ready; nothing is left of one that couldn't be.
pub(crate) async fn run(daemon: &Arc<Daemon>, request: RunRequest) -> Result<Arc<Entry<SandboxRecord>>, SandboxError> {
    let (record, spec, hostname) = plan(daemon, request)?;
    let network = record.network.clone();
    let inserted = daemon.sandboxes.insert(record);
    let entry = inserted.inspect_err(|_| release(daemon, network.as_ref()))?;
    // Whoever finds it in a list waits until it is whole.
    let turn = entry.operate().await;
    let started = start(daemon, &entry, &spec, &hostname).await;
    drop(turn);
    match started {
        Ok(()) => Ok(entry),
        Err(error) => {
            if let Err(undoing) = stop::discard(daemon, &entry).await {
                tracing::warn!(error = %undoing, sandbox = %spec.id, "undo a sandbox that couldn't be started");
            }
            Err(error)
        }
    }
}

/// All that can be refused is refused here, before anything is made.
fn plan(daemon: &Daemon, request: RunRequest) -> Result<(SandboxRecord, SandboxSpec, String), SandboxError> {
    let metadata = request.config.metadata.clone().ok_or(SandboxError::NoMetadata)?;
    let oci_runtime = daemon.handlers.find(&request.runtime_handler)?;
    for entry in daemon.sandboxes.all() {
        if let Some(id) =
            entry.peek(|other| (other.config.metadata.as_ref() == Some(&metadata)).then(|| other.id.clone()))
        {
            return Err(SandboxError::Exists {
                name: metadata.name,
                id,
            });
        }
    }
    let id = new_id();
    let cgroup_parent = spec::cgroup_parent(&request.config, &daemon.config.cgroup_parent, &id);
    let mut record = SandboxRecord {
        id,
        created_at_nanos: now_nanos(),
        phase: SandboxPhase::Starting,
        network: None,
        cgroup_parent,
        runtime_handler: request.runtime_handler,
        config: request.config,
    };
    if record.users()?.is_some() {
        let foreign = (!daemon.handlers.is_own(&record.runtime_handler))
            .then(|| format!("runtime handler {:?} isn't this runtime's own", record.runtime_handler));
        if let Some(why) = foreign.or_else(|| daemon.host.no_user_namespaces.clone()) {
            return Err(SandboxError::NoUserNamespaces(why));
        }
    }
    let node = nix::unistd::gethostname().unwrap_or_default();
    let hostname = spec::hostname(&record.config, record.host_network(), &node.to_string_lossy());
    let spec = spec::spec(
        &record,
        &hostname,
        crate::cri::resources::of_pod(&record.config),
        oci_runtime,
    )?;
    if !record.host_network() {
        let address = daemon.network.allocate().map_err(SandboxError::Address)?;
        record.network = Some(SandboxNetwork {
            address,
            interface: daemon.network.interface(&record.id),
        });
    }
    Ok((record, spec, hostname))
}

fn release(daemon: &Daemon, network: Option<&SandboxNetwork>) {
    if let Some(network) = network {
        daemon.network.release(network.address);
    }
}

async fn start(
    daemon: &Arc<Daemon>,
    entry: &Arc<Entry<SandboxRecord>>,
    spec: &SandboxSpec,
    hostname: &str,
) -> Result<(), SandboxError> {
    let record = entry.get();
    let id = &record.id;
    let directory = daemon.sandbox_directory(id);
    let address = record.network.as_ref().map(|network| network.address);
    prepare(&directory, spec)
        .and_then(|()| files::write(&directory, &record.config, hostname, address, spec.users.as_ref()))
        .map_err(|source| SandboxError::Directory {
            path: directory.clone(),
            source,
        })?;
    let shim = Shim::spawn(&daemon.config.executable, &directory)
        .await
        .map_err(|source| SandboxError::Shim {
            id: id.clone(),
            source: Box::new(source),
        })?;
    if let Some(network) = record.network {
        attach(daemon, network, &directory)
            .await
            .map_err(|source| SandboxError::Network { id: id.clone(), source })?;
    }
    let shim = daemon.add_shim(id, shim);
    entry.update(|record| {
        record.phase = SandboxPhase::Ready;
        true
    })?;
    let followed = follow::follow(daemon, &shim, entry).await;
    followed.map(drop).map_err(|source| SandboxError::Shim {
        id: id.clone(),
        source: Box::new(source),
    })
}

pub(crate) fn prepare(directory: &Path, spec: &SandboxSpec) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let text = serde_json::to_vec_pretty(spec).expect("a spec has only strings for keys");
    fs::write(directory.join("sandbox.json"), text)
}

/// On a thread where waiting for the kernel's lock on interfaces holds up nobody: another pod's removal holds it for long.
async fn attach(
    daemon: &Arc<Daemon>,
    network: SandboxNetwork,
    directory: &Path,
) -> Result<(), crate::network::NetworkError> {
    let daemon = Arc::clone(daemon);
    let namespace = directory.join("ns").join("net");
    let work = move || daemon.network.attach(&network.interface, network.address, &namespace);
    tokio::task::spawn_blocking(work)
        .await
        .expect("netlink calls don't panic")
}
