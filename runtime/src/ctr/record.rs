//! The record of a container without a pod, and of its task.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::state::Record;

/// A container, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CtrRecord {
    /// Of directories and towards the shim; the user knows the container by namespace and name.
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The image's name as it was given.
    pub(crate) image: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created_at_nanos: i64,
    pub(crate) updated_at_nanos: i64,
    pub(crate) net_host: bool,
    pub(crate) hostname: String,
    /// Number of the signal that asks it to stop.
    pub(crate) stop_signal: i32,
    /// Path of its cgroup below the hierarchies' mounts.
    pub(crate) cgroup: PathBuf,
    /// config.json, as each task is launched by it.
    pub(crate) spec: Spec,
    pub(crate) task: Option<Task>,
}

/// Where a task is in its life (see the folder's picture).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Between its record and its process.
    Starting,
    Running {
        pid: i32,
        paused: bool,
    },
    Stopped {
        pid: i32,
        code: i32,
    },
}

impl CtrRecord {
    pub(crate) fn terminal(&self) -> bool {
        let process = self.spec.process().as_ref();
        process
            .and_then(oci_spec::runtime::Process::terminal)
            .unwrap_or_default()
    }

    /// The writable layer's name, by which `snapshot ls` knows whose it is.
    pub(crate) fn snapshot_key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.task, Some(Task::Starting | Task::Running { .. }))
    }

    /// Moves on to the end, unless it is there already: the first news of an end is the true one.
    pub(crate) fn end(&mut self, code: i32) -> bool {
        let Some(Task::Running { pid, .. }) = self.task else {
            return false;
        };
        self.task = Some(Task::Stopped { pid, code });
        true
    }
}

impl Record for CtrRecord {
    const KIND: &'static str = "container";

    fn id(&self) -> &str {
        &self.id
    }
}
