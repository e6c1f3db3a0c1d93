//! What the runtime says about one pod. Facts only: what follows from them is decided elsewhere.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Everything that the runtime has of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Newest first.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// Newest first.
    pub(crate) containers: Vec<Container>,
}

/// A pod's shared namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) ready: bool,
    pub(crate) created_at_nanos: i64,
    /// Primary address first; none with the node's network.
    pub(crate) ips: Vec<String>,
}

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    /// Name in the pod's spec.
    pub(crate) name: String,
    /// How many runs there were before this one.
    pub(crate) attempt: u32,
    pub(crate) state: ContainerState,
    pub(crate) created_at_nanos: i64,
    pub(crate) started_at_nanos: i64,
    /// `OOMKilled`, `Completed`, `Error` or the runtime's own.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The image as it was asked for.
    pub(crate) image: String,
    /// The image by digest or id.
    pub(crate) image_ref: String,
    pub(crate) log_path: String,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerState {
    Created,
    Running,
    Exited {
        code: i32,
        finished_at_nanos: i64,
    },
    /// The runtime can't tell.
    Unknown,
}

impl Observed {
    /// Brings both lists into order.
    pub(crate) fn new(mut sandboxes: Vec<Sandbox>, mut containers: Vec<Container>) -> Self {
        sandboxes.sort_by_key(|sandbox| Reverse((sandbox.attempt, sandbox.created_at_nanos)));
        containers.sort_by_key(|run| Reverse((run.attempt, run.created_at_nanos)));
        Self { sandboxes, containers }
    }

    /// The newest sandbox, if it still lives.
    pub(crate) fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// The newest run of this container in any sandbox.
    pub(crate) fn latest(&self, name: &str) -> Option<&Container> {
        self.runs(name).next()
    }

    /// The newest run of this container in that sandbox.
    pub(crate) fn latest_in(&self, sandbox_id: &str, name: &str) -> Option<&Container> {
        self.runs(name).find(|container| container.sandbox_id == sandbox_id)
    }

    /// All runs of this container, newest first.
    pub(crate) fn runs(&self, name: &str) -> impl Iterator<Item = &Container> {
        let name = name.to_owned();
        self.containers.iter().filter(move |container| container.name == name)
    }

    /// By id.
    pub(crate) fn container(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id)
    }

    /// Those with a process.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.is_alive())
    }

    /// The runtime has nothing of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }
}

impl Container {
    /// It may have a process.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Unknown)
    }

    /// Its exit code, once it ended.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self.state {
            ContainerState::Exited { code, .. } => Some(code),
            _ => None,
        }
    }

    /// When it ended, by the runtime's wall clock.
    pub(crate) fn finished_at_nanos(&self) -> Option<i64> {
        match self.state {
            ContainerState::Exited { finished_at_nanos, .. } => Some(finished_at_nanos),
            _ => None,
        }
    }
}
