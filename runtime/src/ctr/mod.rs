//! Containers as containerd's client knows them (`minikctl ctr`): without a pod, made and started by hand.
//!
//! ```text
//!   container   Create ── record, writable layer ── Delete ──> gone                  only metadata
//!   task        Start ── a shim of its own, config.json ──> Running ── its process ended ──> Stopped ── Delete ──> no task
//!                 └── it couldn't be started: no task                └── the shim died ──────^
//! ```
//! Each is in a namespace, whose list of images it is made from. The CRI sees none of them; what pods consist of is the
//! namespace `k8s.io`, which is seen from here (`lookup`), joined, signalled and measured, but made and removed by the kubelet
//! alone. `foreground` is the same for a command of the runtime's own, a step of an image's build.
//!
//! A task has a shim as a pod has: it survives the daemon, and `recover` finds it again. Its network is a namespace with
//! nothing but lo, or the node's; there is no pod, so no address and no name either.

mod create;
mod events;
mod foreground;
mod inspect;
mod join;
mod lookup;
mod record;
mod recover;
mod service;
mod spec;
mod task;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::images::namespaces::CRI;
use crate::state::{StateError, Store};

pub(crate) use events::Events;
pub(crate) use foreground::Foreground;
pub(crate) use record::CtrRecord;
pub(crate) use recover::{recover, stop_all};
pub(crate) use service::ContainersService;

/// What the daemon keeps for containers without a pod.
pub(crate) struct Ctr {
    pub(crate) records: Store<CtrRecord>,
    pub(crate) events: Events,
    /// Processes beside a task's first one, by the container and the name that the client gave them.
    execs: Mutex<HashMap<(String, String), RunningExec>>,
    /// Held while a container is made: a name is taken only once.
    creating: tokio::sync::Mutex<()>,
}

/// A process that was started in a task.
#[derive(Clone, Debug)]
struct RunningExec {
    /// Its name towards the shim.
    shim_id: String,
    pid: i32,
}

impl Ctr {
    /// Reads the records. Also gives the ids of those that can't be read.
    pub(crate) fn open(root: &Path) -> Result<(Ctr, Vec<String>), StateError> {
        let (records, unreadable) = Store::open(&root.join("ctr"))?;
        let ctr = Ctr {
            records,
            events: Events::new(),
            execs: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
        };
        Ok((ctr, unreadable))
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<(String, String), RunningExec>> {
        // Each change under the lock is one insertion or removal.
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Namespaces with containers.
    fn namespaces(&self) -> Vec<String> {
        let all = self.records.all();
        all.iter()
            .map(|entry| entry.peek(|record| record.namespace.clone()))
            .collect()
    }
}

/// Whether a namespace is the kubelet's.
fn is_cri(namespace: &str) -> bool {
    namespace == CRI
}
