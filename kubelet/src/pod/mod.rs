//! One pod's whole life.
//!
//! ```text
//!            API: pod changed, deleted      runtime: container event      probe result, timer, action done
//!                       \                          |                        /
//!                        +-----------------------> worker <---------------+
//!                                                   |  one task per pod
//!                     observe (CRI) -> Observed     |     Memory: what only this process knows
//!                                      \            |     /      (pulls, back-offs, probe results)
//!                                       +--> decide(pod, observed, memory, now) -> Plan {actions, wake_at}
//!                                       +--> status(pod, observed, memory)      -> PodStatus -> writer -> API
//!                                                   |
//!                                                perform: one match over Action, each in a task of its own
//! ```
//!
//! The states that a pod goes through. Each is a fact about `Observed`, so a kubelet that restarts finds itself where it was:
//!
//! ```text
//!   no sandbox --RunSandbox--> sandbox --init containers in order--> initialized --all started--> running
//!       ^                         |                                      |                          |
//!       |        sandbox died     |                                      |   containers restart     |
//!       +-------------------------+--------------------------------------+   with back-off          |
//!                                                                                                   |
//!   deleted, deadline passed, or all containers done for good  <------------------------------------+
//!       -> containers stopped (sidecars last) -> sandbox stopped -> final status -> removed from the API -> remains removed
//! ```
//!
//! [`decide`], [`status`], [`backoff`] and [`exit`] are pure; [`perform`] and [`worker`] do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self as core, Container, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(crate) mod action;
pub(crate) mod backoff;
mod cgroup;
pub(crate) mod decide;
pub(crate) mod exit;
pub(crate) mod features;
pub(crate) mod hooks;
pub(crate) mod memory;
pub(crate) mod observed;
pub(crate) mod perform;
pub(crate) mod pull;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod worker;
pub(crate) mod writer;

/// A pod as the API has it, with what every part of the kubelet asks for taken out of the options.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// `metadata.uid`: a pod of the same name that is made anew is another one.
    pub(crate) uid: String,
    /// `metadata.name`.
    pub(crate) name: String,
    /// `metadata.namespace`.
    pub(crate) namespace: String,
    /// The rest of the metadata.
    pub(crate) metadata: ObjectMeta,
    /// What is wanted.
    pub(crate) spec: PodSpec,
    /// `spec.ephemeralContainers`, as the containers that they are.
    ephemeral: Vec<Container>,
    /// What was last written; our own words, but for conditions of others.
    pub(crate) status: PodStatus,
}

impl Pod {
    /// None if it lacks a name or uid, which the API server doesn't let happen.
    pub(crate) fn from_api(pod: core::Pod) -> Option<Self> {
        let spec = pod.spec?;
        Some(Self {
            uid: pod.metadata.uid.clone()?,
            name: pod.metadata.name.clone()?,
            namespace: pod.metadata.namespace.clone()?,
            metadata: pod.metadata,
            ephemeral: spec.ephemeral_containers.iter().flatten().map(as_container).collect(),
            spec,
            status: pod.status.unwrap_or_default(),
        })
    }

    /// Init containers in order, sidecars among them.
    pub(crate) fn init_containers(&self) -> &[Container] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    /// The containers that the pod is there for.
    pub(crate) fn containers(&self) -> &[Container] {
        &self.spec.containers
    }

    /// Those that were put in later, to look at the others (`kubectl debug`).
    pub(crate) fn ephemeral_containers(&self) -> &[Container] {
        &self.ephemeral
    }

    /// The container whose processes an ephemeral one sees.
    pub(crate) fn target(&self, ephemeral: &str) -> Option<&str> {
        let mut all = self.spec.ephemeral_containers.iter().flatten();
        let found = all.find(|container| container.name == ephemeral)?;
        found.target_container_name.as_deref().filter(|name| !name.is_empty())
    }

    /// All of them, init containers first, ephemeral ones last.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        let init = self.init_containers().iter();
        init.chain(self.containers()).chain(self.ephemeral_containers())
    }

    /// What happens when this container ends.
    pub(crate) fn policy(&self, container: &Container) -> RestartPolicy {
        if is_sidecar(container) {
            RestartPolicy::Always
        } else if self.ephemeral.iter().any(|ephemeral| ephemeral.name == container.name) {
            RestartPolicy::Never
        } else {
            self.restart_policy()
        }
    }

    /// By name.
    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.all_containers().find(|container| container.name == name)
    }

    /// Annotations, none if there are none.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Labels.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.metadata.labels.clone().unwrap_or_default()
    }

    /// Someone asked the API server to delete it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Seconds that its processes have to end by themselves.
    pub(crate) fn grace_seconds(&self) -> i64 {
        let asked = self.metadata.deletion_grace_period_seconds;
        asked.or(self.spec.termination_grace_period_seconds).unwrap_or(30)
    }

    /// Uses the node's network instead of one of its own.
    pub(crate) fn is_host_network(&self) -> bool {
        self.spec.host_network == Some(true)
    }

    /// It has reported that it ended for good.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// What happens when a container ends.
    pub(crate) fn restart_policy(&self) -> RestartPolicy {
        match self.spec.restart_policy.as_deref() {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }
}

/// The API lets the rest of a container's fields (ports, probes, resources) not be set in an ephemeral one.
fn as_container(ephemeral: &core::EphemeralContainer) -> Container {
    let ephemeral = ephemeral.clone();
    Container {
        name: ephemeral.name,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        command: ephemeral.command,
        args: ephemeral.args,
        working_dir: ephemeral.working_dir,
        env: ephemeral.env,
        env_from: ephemeral.env_from,
        volume_mounts: ephemeral.volume_mounts,
        volume_devices: ephemeral.volume_devices,
        security_context: ephemeral.security_context,
        stdin: ephemeral.stdin,
        stdin_once: ephemeral.stdin_once,
        tty: ephemeral.tty,
        termination_message_path: ephemeral.termination_message_path,
        termination_message_policy: ephemeral.termination_message_policy,
        ..Container::default()
    }
}

/// An init container that goes on running beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// `spec.restartPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    /// Whatever the exit code.
    Always,
    /// Unless it was 0.
    OnFailure,
    /// Not at all.
    Never,
}

impl RestartPolicy {
    /// Whether a container that ended with this code is started again.
    pub(crate) fn restarts(self, exit_code: i32) -> bool {
        match self {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Pods for tests, written as a user writes them.

    use serde_json::{Value, json};

    use super::Pod;

    /// A pod `default/web` with this spec.
    pub(crate) fn pod(spec: Value) -> Pod {
        with(json!({"spec": spec}))
    }

    /// A pod `default/web` with these parts besides its names.
    pub(crate) fn with(mut parts: Value) -> Pod {
        let metadata = &mut parts["metadata"];
        metadata["name"] = json!("web");
        metadata["namespace"] = json!("default");
        metadata["uid"] = json!("uid-1");
        let pod = serde_json::from_value(parts).expect("the test's pod is one");
        Pod::from_api(pod).expect("it has names and a spec")
    }
}
