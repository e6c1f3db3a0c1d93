//! The plan for a pod that is to end: containers, then sidecars in reverse, then the sandbox, then the API's object, then what
//! remains in the runtime.

use super::{Ending, Plan};
use crate::pod::action::{Action, Key};
use crate::pod::memory::Memory;
use crate::pod::observed::{Container, Observed};
use crate::pod::{Pod, is_sidecar};

pub(super) fn plan(ending: &Ending, pod: &Pod, observed: &Observed, memory: &Memory, plan: &mut Plan) {
    let to_kill = next_to_kill(pod, observed);
    let is_quiet = to_kill.is_empty();
    for run in to_kill {
        plan.act(Action::KillContainer {
            container: run.name.clone(),
            id: run.id.clone(),
            grace_seconds: ending.grace_seconds(),
            why: format!("{} {}", ending.why(), run.name),
        });
    }
    // A start that is under way may still bring a process, and a sandbox another namespace.
    let is_starting = |key: &Key| matches!(key, Key::Start(_) | Key::Sandbox);
    if !is_quiet || memory.under_way.iter().any(is_starting) {
        return;
    }
    let mut living = observed.sandboxes.iter().filter(|sandbox| sandbox.ready).peekable();
    let is_down = living.peek().is_none();
    for sandbox in living {
        plan.act(Action::StopSandbox { id: sandbox.id.clone() });
    }
    match ending {
        // The containers stay, so that their logs can be read.
        Ending::Done { .. } | Ending::DeadlineExceeded { .. } => {}
        Ending::Deleted { .. } | Ending::Removed { .. } if is_down => {
            if !memory.finished {
                plan.act(Action::Finish);
            }
            for sandbox in &observed.sandboxes {
                plan.act(Action::RemoveSandbox { id: sandbox.id.clone() });
            }
            remove_strays(observed, plan);
        }
        Ending::Deleted { .. } | Ending::Removed { .. } => {}
    }
}

/// Those that are to end now: everything but sidecars at once, then the sidecars one by one, the last first.
fn next_to_kill<'a>(pod: &Pod, observed: &'a Observed) -> Vec<&'a Container> {
    let sidecars: Vec<&str> = pod
        .init_containers()
        .iter()
        .filter(|c| is_sidecar(c))
        .map(|c| c.name.as_str())
        .collect();
    let (side, main): (Vec<_>, Vec<_>) = observed.alive().partition(|run| sidecars.contains(&run.name.as_str()));
    if !main.is_empty() {
        return main;
    }
    let last = sidecars
        .iter()
        .rev()
        .find_map(|name| side.iter().find(|run| run.name == *name).copied());
    last.into_iter().collect()
}

/// Containers whose sandbox is gone already.
fn remove_strays(observed: &Observed, plan: &mut Plan) {
    for run in &observed.containers {
        if !observed.sandboxes.iter().any(|sandbox| sandbox.id == run.sandbox_id) {
            plan.act(Action::RemoveContainer { id: run.id.clone() });
        }
    }
}
