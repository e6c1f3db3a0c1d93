//! What the kubelet can do for a pod: the vocabulary between deciding and performing.

/// One thing to do. Everything that it needs to be chosen stands in it; how it is done stands in `perform`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Makes the pod's directories and volumes.
    PrepareVolumes,
    /// Runs a new sandbox.
    RunSandbox { attempt: u32 },
    /// Makes sure that this container's image is there, by its pull policy.
    EnsureImage { container: String },
    /// Creates and starts a container in the sandbox.
    StartContainer {
        container: String,
        sandbox_id: String,
        /// The container whose processes it is to see.
        target_id: Option<String>,
        attempt: u32,
        /// How many restarts in a row this is.
        consecutive: u32,
    },
    /// Ends a container: preStop hook, stop signal, and SIGKILL when the time is up.
    KillContainer {
        container: String,
        id: String,
        grace_seconds: i64,
        why: String,
    },
    /// Removes a dead container.
    RemoveContainer { id: String },
    /// Takes a sandbox's network and namespaces down.
    StopSandbox { id: String },
    /// Removes a sandbox that was stopped, with what is in it.
    RemoveSandbox { id: String },
    /// Everything is down: writes the last status and lets the API server forget the pod.
    Finish,
}

/// What an action is about: at most one of each is under way, and each has a back-off of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Volumes,
    Sandbox,
    Image(String),
    Start(String),
    /// With the grace period: a shorter one overtakes a longer one.
    Kill(String, i64),
    RemoveContainer(String),
    StopSandbox(String),
    RemoveSandbox(String),
    Finish,
}

impl Action {
    /// What it is about.
    pub(crate) fn key(&self) -> Key {
        match self {
            Action::PrepareVolumes => Key::Volumes,
            Action::RunSandbox { .. } => Key::Sandbox,
            Action::EnsureImage { container } => Key::Image(container.clone()),
            Action::StartContainer { container, .. } => Key::Start(container.clone()),
            Action::KillContainer { id, grace_seconds, .. } => Key::Kill(id.clone(), *grace_seconds),
            Action::RemoveContainer { id } => Key::RemoveContainer(id.clone()),
            Action::StopSandbox { id } => Key::StopSandbox(id.clone()),
            Action::RemoveSandbox { id } => Key::RemoveSandbox(id.clone()),
            Action::Finish => Key::Finish,
        }
    }
}
