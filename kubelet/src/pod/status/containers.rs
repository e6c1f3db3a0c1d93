//! The status of each container: waiting for what, running since when, or ended how.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    self as core, ContainerState as State, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::{FRESH_FAILURE, Host};
use crate::pod::action::Key;
use crate::pod::decide::{self, Ending};
use crate::pod::memory::Memory;
use crate::pod::observed::{Container, ContainerState, Observed};
use crate::pod::{Pod, backoff, exit, is_sidecar};

/// What everything here looks at.
pub(super) struct View<'a> {
    pub(super) pod: &'a Pod,
    pub(super) observed: &'a Observed,
    pub(super) memory: &'a Memory,
    pub(super) host: &'a Host,
    pub(super) now: Instant,
    pub(super) ending: Option<&'a Ending>,
}

pub(super) fn statuses(view: &View<'_>, containers: &[core::Container]) -> Vec<ContainerStatus> {
    containers.iter().map(|container| status(view, container)).collect()
}

fn status(view: &View<'_>, container: &core::Container) -> ContainerStatus {
    let run = view.observed.latest(&container.name);
    let before = view
        .observed
        .runs(&container.name)
        .skip(1)
        .find(|run| run.exit_code().is_some());
    let state = state(view, container, run);
    let is_waiting = state.waiting.is_some();
    let last = match run {
        Some(run) if is_waiting && run.exit_code().is_some() => Some(run),
        _ => before,
    };
    let is_running = state.running.is_some();
    let probed = run
        .map(|run| view.memory.probed(container, &run.id))
        .unwrap_or_default();
    let init_is_through = !is_sidecar(container)
        && view
            .pod
            .init_containers()
            .iter()
            .any(|init| init.name == container.name)
        && run.and_then(Container::exit_code) == Some(0);
    ContainerStatus {
        name: container.name.clone(),
        image: run
            .map(|run| run.image.clone())
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| image_of(container)),
        image_id: run.map(|run| run.image_ref.clone()).unwrap_or_default(),
        container_id: run.map(|run| container_id(view, run)),
        ready: (is_running && probed.ready) || init_is_through,
        started: Some(is_running && probed.started),
        restart_count: run.map_or(0, |run| i32::try_from(run.attempt).unwrap_or(i32::MAX)),
        last_state: Some(last.map_or_else(State::default, |run| terminated(view, run))),
        state: Some(state),
        ..Default::default()
    }
}

fn image_of(container: &core::Container) -> String {
    container.image.clone().unwrap_or_default()
}

fn container_id(view: &View<'_>, run: &Container) -> String {
    format!("{}://{}", view.host.runtime_name, run.id)
}

fn state(view: &View<'_>, container: &core::Container, run: Option<&Container>) -> State {
    let is_ending = view.ending.is_some();
    match run.map(|run| (run, &run.state)) {
        Some((run, ContainerState::Running)) => State {
            running: Some(ContainerStateRunning {
                started_at: time(run.started_at_nanos),
            }),
            ..Default::default()
        },
        Some((run, ContainerState::Exited { code, .. })) => {
            let policy = view.pod.policy(container);
            match waiting_to_restart(view, container, run) {
                Some(waiting) if !is_ending && policy.restarts(*code) => waiting,
                _ => terminated(view, run),
            }
        }
        // Nothing of it is left and nothing will come.
        None if is_ending && view.observed.alive().next().is_none() => lost(),
        _ => waiting_to_start(view, container),
    }
}

fn waiting(reason: impl Into<String>, message: Option<String>) -> State {
    State {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.into()),
            message: message.filter(|text| !text.is_empty()),
        }),
        ..Default::default()
    }
}

fn waiting_to_start(view: &View<'_>, container: &core::Container) -> State {
    if let Some(state) = failure(view, container) {
        return state;
    }
    let is_init = view
        .pod
        .init_containers()
        .iter()
        .any(|init| init.name == container.name);
    let progress = view
        .memory
        .progress
        .get(&container.name)
        .cloned()
        .or_else(|| held_up(view));
    if !is_init
        && !view.pod.init_containers().is_empty()
        && !decide::is_initialized(view.pod, view.observed, view.memory)
    {
        return waiting("PodInitializing", progress);
    }
    waiting(
        if is_init {
            "PodInitializing"
        } else {
            "ContainerCreating"
        },
        progress,
    )
}

/// What keeps the whole pod from starting.
fn held_up(view: &View<'_>) -> Option<String> {
    let failures = &view.memory.failures;
    let failure = failures.get(&Key::Volumes).or_else(|| failures.get(&Key::Sandbox));
    failure.map(|failure| failure.message.clone())
}

/// A container that ended waits for its restart, unless that is due.
fn waiting_to_restart(view: &View<'_>, container: &core::Container, run: &Container) -> Option<State> {
    if let Some(state) = failure(view, container) {
        return Some(state);
    }
    let due = decide::restart_at(view.memory, run).is_none_or(|at| at <= view.now);
    if due {
        return None;
    }
    let delay = backoff::in_words(backoff::restart(run).delay);
    let (name, pod) = (&container.name, view.pod);
    let message = format!(
        "back-off {delay} restarting failed container={name} pod={}_{}({})",
        pod.name, pod.namespace, pod.uid
    );
    Some(waiting("CrashLoopBackOff", Some(message)))
}

/// What keeps it from starting, if something failed.
fn failure(view: &View<'_>, container: &core::Container) -> Option<State> {
    if let Some(failure) = view.memory.failures.get(&Key::Start(container.name.clone())) {
        return Some(waiting(failure.reason.clone(), Some(failure.message.clone())));
    }
    let failure = view.memory.failures.get(&Key::Image(container.name.clone()))?;
    let is_backing_off = failure.reason == "ErrImagePull" && view.now >= failure.at + FRESH_FAILURE;
    Some(if is_backing_off {
        let image = image_of(container);
        let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", failure.message);
        waiting("ImagePullBackOff", Some(message))
    } else {
        waiting(failure.reason.clone(), Some(failure.message.clone()))
    })
}

fn terminated(view: &View<'_>, run: &Container) -> State {
    let ContainerState::Exited {
        code,
        finished_at_nanos,
    } = run.state
    else {
        return State::default();
    };
    let explained = exit::explain(run, code, view.memory.last_words.get(&run.id).map(String::as_str));
    State {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(container_id(view, run)),
            exit_code: code,
            reason: Some(explained.reason),
            message: Some(explained.message).filter(|text| !text.is_empty()),
            started_at: time(run.started_at_nanos),
            finished_at: time(finished_at_nanos),
            signal: None,
        }),
        ..Default::default()
    }
}

fn lost() -> State {
    State {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".into()),
            message: Some("The container could not be located when the pod was terminated".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// None for zero: it did not happen.
fn time(nanos: i64) -> Option<Time> {
    let nanos = Some(nanos).filter(|nanos| *nanos > 0)?;
    // The API keeps whole seconds.
    Timestamp::from_second(nanos / 1_000_000_000).ok().map(Time)
}
