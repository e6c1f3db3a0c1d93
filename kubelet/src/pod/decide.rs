//! What is to be done for a pod now: a pure function of what is wanted, what is there, what is remembered and the time.
//!
//! It is asked again after everything that happens, so it never plans ahead: it names what can be done at this moment, and
//! when to ask again if nothing else happens. Doing all of it and asking again comes to an empty plan (tests below).

use k8s_openapi::api::core::v1 as core;
use tokio::time::Instant;

use super::action::{Action, Key};
use super::backoff;
use super::memory::Memory;
use super::observed::{Container, ContainerState, Observed};
use super::{Pod, is_sidecar};

mod containers;
mod teardown;
#[cfg(test)]
mod tests;

/// Annotation on a container: a digest of the part of the spec whose change makes a restart necessary.
pub(crate) const HASH: &str = "io.kubernetes.container.hash";

/// What to do, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All can be done at the same time.
    pub(crate) actions: Vec<Action>,
    /// When a back-off or deadline is over.
    pub(crate) wake_at: Option<Instant>,
}

impl Plan {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake(&mut self, at: Instant) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Why a pod is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Someone deleted it; the API server still has it.
    Deleted { grace_seconds: i64 },
    /// The API server doesn't have it any more.
    Removed { grace_seconds: i64 },
    /// `activeDeadlineSeconds` is over.
    DeadlineExceeded { grace_seconds: i64 },
    /// Its containers did what they were there for, or failed for good.
    Done { grace_seconds: i64 },
}

impl Ending {
    pub(crate) fn grace_seconds(&self) -> i64 {
        match self {
            Ending::Deleted { grace_seconds }
            | Ending::Removed { grace_seconds }
            | Ending::DeadlineExceeded { grace_seconds }
            | Ending::Done { grace_seconds } => *grace_seconds,
        }
    }

    fn why(&self) -> &'static str {
        match self {
            Ending::Deleted { .. } | Ending::Removed { .. } | Ending::Done { .. } => "Stopping container",
            Ending::DeadlineExceeded { .. } => {
                "Pod was active on the node longer than the specified deadline; stopping container"
            }
        }
    }
}

/// The plan for this moment.
pub(crate) fn decide(pod: &Pod, observed: &Observed, memory: &Memory, now: Instant) -> Plan {
    let mut plan = Plan::default();
    match ending(pod, observed, memory, now) {
        Some(ending) => teardown::plan(&ending, pod, observed, memory, &mut plan),
        None => containers::plan(pod, observed, memory, now, &mut plan),
    }
    if let Some(deadline) = memory.deadline_at.filter(|deadline| *deadline > now) {
        plan.wake(deadline);
    }
    hold_back(&mut plan, memory, now);
    plan
}

/// Whether and why the pod is to end.
pub(crate) fn ending(pod: &Pod, observed: &Observed, memory: &Memory, now: Instant) -> Option<Ending> {
    if memory.removed {
        // Nobody can say any more how long it may take; the forced deletion that led here meant it to be short.
        let grace_seconds = if pod.is_deleted() {
            pod.grace_seconds().max(1)
        } else {
            1
        };
        return Some(Ending::Removed { grace_seconds });
    }
    if pod.is_deleted() {
        let grace_seconds = pod.grace_seconds();
        return Some(Ending::Deleted { grace_seconds });
    }
    let grace_seconds = pod.grace_seconds();
    if memory.deadline_at.is_some_and(|deadline| deadline <= now) {
        return Some(Ending::DeadlineExceeded { grace_seconds });
    }
    (pod.is_terminal() || is_done(pod, observed)).then_some(Ending::Done { grace_seconds })
}

/// The containers that the pod is there for ended and won't be started again, or an init container failed for good.
pub(crate) fn is_done(pod: &Pod, observed: &Observed) -> bool {
    let policy = pod.restart_policy();
    let ended_for_good = |name: &str| {
        let latest = observed.latest(name);
        latest.is_some_and(|run| run.exit_code().is_some_and(|code| !policy.restarts(code)))
    };
    if pod.containers().iter().all(|container| ended_for_good(&container.name)) {
        return true;
    }
    let has_begun = pod
        .containers()
        .iter()
        .any(|container| observed.latest(&container.name).is_some());
    let mut inits = pod.init_containers().iter().filter(|container| !is_sidecar(container));
    !has_begun
        && inits.any(|container| {
            let code = observed.latest(&container.name).and_then(Container::exit_code);
            code.is_some_and(|code| code != 0 && !policy.restarts(code))
        })
}

/// Whether all init containers have done their part, so that the pod's own containers may run.
pub(crate) fn is_initialized(pod: &Pod, observed: &Observed, memory: &Memory) -> bool {
    let Some(sandbox) = observed.sandboxes.first() else {
        return false;
    };
    // Where a container of the pod's own has run, the init containers are through, though they may be swept away by now.
    let has_begun = pod
        .containers()
        .iter()
        .any(|container| observed.latest_in(&sandbox.id, &container.name).is_some());
    has_begun
        || pod.init_containers().iter().all(|container| {
            let run = observed.latest_in(&sandbox.id, &container.name);
            run.is_some_and(|run| match run.state {
                ContainerState::Running => is_sidecar(container) && has_started(memory, container, run),
                ContainerState::Exited { code, .. } => !is_sidecar(container) && code == 0,
                _ => false,
            })
        })
}

/// Its startup probe has succeeded, or it has none.
pub(crate) fn has_started(memory: &Memory, container: &core::Container, run: &Container) -> bool {
    memory.probed(container, &run.id).started
}

/// When a run that ended may be followed by the next.
pub(crate) fn restart_at(memory: &Memory, run: &Container) -> Option<Instant> {
    let ended = memory.ended_at.get(&run.id)?;
    Some(*ended + backoff::restart(run).delay)
}

/// Leaves out what is under way already, and what failed and has to wait.
fn hold_back(plan: &mut Plan, memory: &Memory, now: Instant) {
    let mut wakes = Vec::new();
    plan.actions.retain(|action| {
        let key = action.key();
        if memory.is_under_way(&key) || is_overtaken(&key, memory) {
            return false;
        }
        match memory.failures.get(&key) {
            Some(failure) if failure.retry_at > now => {
                wakes.push(failure.retry_at);
                // ErrImagePull becomes ImagePullBackOff a little later.
                wakes.extend(Some(failure.at + super::status::FRESH_FAILURE).filter(|at| *at > now));
                false
            }
            _ => true,
        }
    });
    for at in wakes {
        plan.wake(at);
    }
}

/// A kill with a shorter or equal grace period is under way.
fn is_overtaken(key: &Key, memory: &Memory) -> bool {
    let Key::Kill(id, grace_seconds) = key else {
        return false;
    };
    memory
        .under_way
        .iter()
        .any(|other| matches!(other, Key::Kill(other, less) if other == id && less <= grace_seconds))
}
