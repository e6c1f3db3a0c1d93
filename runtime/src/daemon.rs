//! What the daemon's verbs work on: the records, the shims of running sandboxes, images, network and cgroups, in one place.
//!
//! `cri/` turns requests into calls of these parts and answers from them; `sandbox/` is the life of sandboxes. Nothing here
//! is needed to keep a pod running: the daemon may die at any moment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Config;
use crate::cgroup::Driver;
use crate::cri::events::Events;
use crate::ctr::Ctr;
use crate::handlers::Handlers;
use crate::images::Images;
use crate::network::Network;
use crate::oci::HostCapabilities;
use crate::shim::Shim;
use crate::state::{ContainerRecord, Entry, SandboxRecord, Store};

/// The parts.
pub(crate) struct Daemon {
    pub(crate) config: Config,
    pub(crate) images: Images,
    pub(crate) network: Network,
    pub(crate) cgroups: Box<dyn Driver>,
    pub(crate) host: HostCapabilities,
    pub(crate) handlers: Handlers,
    pub(crate) sandboxes: Store<SandboxRecord>,
    pub(crate) containers: Store<ContainerRecord>,
    pub(crate) events: Events,
    /// Containers without a pod.
    pub(crate) ctr: Ctr,
    shims: Mutex<HashMap<String, Arc<Shim>>>,
}

impl Daemon {
    pub(crate) fn new(
        config: Config,
        images: Images,
        network: Network,
        (cgroups, host): (Box<dyn Driver>, HostCapabilities),
        sandboxes: Store<SandboxRecord>,
        containers: Store<ContainerRecord>,
        ctr: Ctr,
    ) -> Daemon {
        let (events, shims) = (Events::new(), Mutex::default());
        let (default, state) = (config.oci_runtime.as_ref(), config.state.join("oci"));
        let handlers = Handlers::new(default, &config.runtime_handlers, state);
        Daemon {
            config,
            images,
            network,
            cgroups,
            host,
            handlers,
            sandboxes,
            containers,
            events,
            ctr,
            shims,
        }
    }

    /// The shim of a sandbox, while it lives.
    pub(crate) fn shim(&self, sandbox_id: &str) -> Option<Arc<Shim>> {
        self.shims().get(sandbox_id).cloned()
    }

    pub(crate) fn add_shim(&self, sandbox_id: &str, shim: Shim) -> Arc<Shim> {
        let shim = Arc::new(shim);
        self.shims().insert(sandbox_id.to_owned(), Arc::clone(&shim));
        shim
    }

    pub(crate) fn drop_shim(&self, sandbox_id: &str) -> Option<Arc<Shim>> {
        self.shims().remove(sandbox_id)
    }

    /// The containers of a sandbox.
    pub(crate) fn containers_of(&self, sandbox_id: &str) -> Vec<Arc<Entry<ContainerRecord>>> {
        let mut containers = self.containers.all();
        containers.retain(|entry| entry.peek(|record| record.sandbox_id == sandbox_id));
        containers
    }

    /// Where a sandbox's namespaces, files and shim's socket are.
    pub(crate) fn sandbox_directory(&self, sandbox_id: &str) -> PathBuf {
        self.config.state.join("sandboxes").join(sandbox_id)
    }

    /// Where a container's config.json is.
    pub(crate) fn bundle(&self, container_id: &str) -> PathBuf {
        self.config.state.join("containers").join(container_id)
    }

    fn shims(&self) -> MutexGuard<'_, HashMap<String, Arc<Shim>>> {
        // Nothing panics while it holds this lock; the map is whole at every moment anyway.
        self.shims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Now, in nanoseconds since 1970, as the CRI counts.
pub(crate) fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// A new id for a sandbox or container: 128 random bits. Short enough that the path of a shim's socket stays within the 107
/// bytes that unix(7) allows.
pub(crate) fn new_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
