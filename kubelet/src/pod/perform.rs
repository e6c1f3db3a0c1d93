//! Does one action: one match, each arm a call or two to the world outside. What comes of it goes back to the worker.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodStatus;
use minik_api::cri::PodSandboxConfig;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::Instant;

use super::action::Action;
use super::cgroup;
use super::start::{Start, start};
use super::worker::Message;
use super::{Pod, features, hooks, pull};
use crate::context::Context;
use crate::cri::CallError;
use crate::objects;
use crate::recorder::Severity;
use crate::spec::{dns, references, sandbox};
use crate::{user_range, volumes};

/// After a preStop hook a container has at least this long to end.
const AFTER_HOOK: Duration = Duration::from_secs(2);
/// The host's resolver configuration, and systemd-resolved's real one behind its stub.
const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What an action brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing but what the runtime shows.
    Nothing,
    /// The volumes are there.
    Volumes,
    /// The image is there, and this is what the runtime calls it.
    Image(String),
    /// The container runs.
    Started,
    /// The API server knows the end.
    Finished,
}

/// Why an action failed: what the status will show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }

    pub(crate) fn call(reason: &'static str) -> impl Fn(CallError) -> Self {
        move |error| Self::new(reason, error.message)
    }
}

/// What an action is done with: the pod and what was seen and remembered when it was chosen.
pub(crate) struct Job {
    pub(crate) pod: Pod,
    /// Attempt of the newest sandbox.
    pub(crate) sandbox_attempt: u32,
    /// The pod's addresses, once it has a sandbox.
    pub(crate) pod_ips: Vec<String>,
    /// The image of the container that is to be started.
    pub(crate) image_ref: String,
    /// For `Finish`: turns true once the API server knows; none if it has forgotten the pod already.
    pub(crate) finish: Option<watch::Receiver<bool>>,
    /// Where progress goes.
    pub(crate) tell: Sender<Message>,
}

/// Does it.
pub(crate) async fn perform(context: &Context, job: Job, action: Action) -> Result<Done, Failed> {
    let runtime = &context.runtime;
    match action {
        Action::PrepareVolumes => prepare_volumes(context, &job.pod).await,
        Action::RunSandbox { attempt } => run_sandbox(context, &job.pod, attempt).await,
        Action::EnsureImage { container } => match job.pod.container(&container) {
            Some(found) => {
                let config = sandbox_config(context, &job.pod, job.sandbox_attempt);
                pull::ensure(context, &job.pod, found, config, &job.tell).await
            }
            None => Err(Failed::new(
                "InspectFailed",
                format!("the pod has no container {container}"),
            )),
        },
        Action::StartContainer {
            container,
            sandbox_id,
            target_id,
            attempt,
            consecutive,
        } => {
            let wanted = Start {
                container: &container,
                sandbox_id: &sandbox_id,
                target_id,
                sandbox: sandbox_config(context, &job.pod, job.sandbox_attempt),
                tell: &job.tell,
                pod_ips: &job.pod_ips,
                image_ref: &job.image_ref,
                attempt,
                consecutive,
            };
            start(context, &job.pod, wanted).await
        }
        Action::KillContainer {
            container,
            id,
            grace_seconds,
            why,
        } => kill(context, &job, &container, &id, grace_seconds, why).await,
        Action::RemoveContainer { id } => gone(runtime.remove_container(&id).await),
        Action::StopSandbox { id } => gone(runtime.stop_pod_sandbox(&id).await),
        Action::RemoveSandbox { id } => gone(runtime.remove_pod_sandbox(&id).await),
        Action::Finish => finish(context, &job.pod, job.finish).await,
    }
}

/// What is already gone needs no removing.
fn gone(result: Result<(), CallError>) -> Result<Done, Failed> {
    match result {
        Err(error) if !error.is_not_found() => Err(Failed::call("KillPodSandboxError")(error)),
        _ => Ok(Done::Nothing),
    }
}

async fn prepare_volumes(context: &Context, pod: &Pod) -> Result<Done, Failed> {
    let failed = |message: String| {
        let event = format!("MountVolume.SetUp failed: {message}");
        context.recorder.pod(pod, None, Severity::Warning, "FailedMount", event);
        Failed::new("FailedMount", message)
    };
    let references = references::of_volumes(pod);
    let objects = objects::fetch(&*context.lookup, &pod.namespace, &references).await;
    let objects = objects.map_err(|error| failed(error.to_string()))?;
    volumes::prepare(pod, &objects, &context.node).map_err(|error| failed(error.to_string()))?;
    Ok(Done::Volumes)
}

async fn run_sandbox(context: &Context, pod: &Pod, attempt: u32) -> Result<Done, Failed> {
    let log_dir = context.node.log_dir(pod);
    let made = volumes::files::directory(&log_dir, 0o755);
    made.map_err(|error| Failed::new("CreatePodSandboxError", error.to_string()))?;
    let failed = |message: &str| {
        let message = format!("Failed to create pod sandbox: {message}");
        context
            .recorder
            .pod(pod, None, Severity::Warning, "FailedCreatePodSandBox", message);
    };
    // Volumes may still be on their way: who the pod's users are is decided here, where it counts first.
    user_range::take(pod, &context.node).map_err(|error| {
        failed(&error.to_string());
        Failed::new("FailedCreatePodSandBox", error.to_string())
    })?;
    let config = sandbox_config(context, pod, attempt);
    let handler = features::runtime_handler(context, pod)
        .await
        .inspect_err(|error| failed(&error.message))?;
    if user_range::is_wanted(pod) && !features::of(context, pod).await?.user_namespaces {
        let message = format!("runtime handler \"{handler}\" does not support user namespaces: leave hostUsers unset");
        failed(&message);
        return Err(Failed::new("FailedCreatePodSandBox", message));
    }
    let ran = context.runtime.run_pod_sandbox(config, handler).await;
    ran.map(|_| Done::Nothing).map_err(|error| {
        failed(&error.message);
        Failed::call("FailedCreatePodSandBox")(error)
    })
}

fn sandbox_config(context: &Context, pod: &Pod, attempt: u32) -> PodSandboxConfig {
    // Read each time, for it changes with the network that a laptop is in; a few hundred bytes from memory.
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut host = read(RESOLV_CONF[0]);
    if !pod.is_host_network() && dns::is_loopback_only(&dns::parse(&host)) {
        let real = read(RESOLV_CONF[1]);
        host = if real.is_empty() { host } else { real };
    }
    let users = user_range::of(pod, &context.node);
    sandbox::config(pod, attempt, dns::config(pod, &host), users, &context.node)
}

async fn kill(
    context: &Context,
    job: &Job,
    name: &str,
    id: &str,
    grace_seconds: i64,
    why: String,
) -> Result<Done, Failed> {
    context
        .recorder
        .pod(&job.pod, Some(name), Severity::Normal, "Killing", why);
    let grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
    let begun = Instant::now();
    if let Some(container) = job.pod.container(name).filter(|_| grace > Duration::ZERO) {
        hooks::pre_stop(context, &job.pod, container, id, &job.pod_ips, grace).await;
    }
    let spent = begun.elapsed();
    let left = match spent.as_secs() {
        0 => grace,
        _ => grace.saturating_sub(spent).max(AFTER_HOOK),
    };
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    match context.runtime.stop_container(id, seconds).await {
        Err(error) if !error.is_not_found() => {
            let message = format!("error killing container {name}: {}", error.message);
            context.recorder.pod(
                &job.pod,
                Some(name),
                Severity::Warning,
                "FailedKillPod",
                message.clone(),
            );
            Err(Failed::new("KillContainerError", message))
        }
        _ => Ok(Done::Nothing),
    }
}

/// The last status, the API server's object, and the pod's directories.
async fn finish(context: &Context, pod: &Pod, told: Option<watch::Receiver<bool>>) -> Result<Done, Failed> {
    if let Some(mut told) = told {
        // A writer that is gone has nothing left to tell.
        let _ = told.wait_for(|told| *told).await;
    }
    let failed = |error: volumes::VolumeError| Failed::new("FailedRemovePodDir", error.to_string());
    volumes::remove(&context.node.pod_dir(&pod.uid)).map_err(failed)?;
    volumes::remove(&context.node.log_dir(pod)).map_err(failed)?;
    cgroup::remove(&sandbox::cgroup(pod, &context.node));
    Ok(Done::Finished)
}

/// Whether someone is likely to wait for this change.
pub(crate) fn is_urgent(before: Option<&PodStatus>, now: &PodStatus) -> bool {
    let Some(before) = before else {
        return now.phase.as_deref() != Some("Pending");
    };
    let ready = |status: &PodStatus| {
        let ready = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready");
        ready.map(|condition| condition.status.clone())
    };
    let failures = |status: &PodStatus| -> Vec<Option<String>> {
        let states = status
            .container_statuses
            .iter()
            .flatten()
            .filter_map(|container| container.state.clone());
        states
            .map(|state| state.waiting.and_then(|waiting| waiting.reason))
            .collect()
    };
    before.phase != now.phase || ready(before) != ready(now) || failures(before) != failures(now)
}
