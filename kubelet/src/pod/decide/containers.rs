//! The plan for a pod that is to run: sandbox, volumes, images, init containers in order, then the others.

use k8s_openapi::api::core::v1 as core;
use tokio::time::Instant;

use super::{Plan, has_started, is_initialized, restart_at};
use crate::pod::action::{Action, Key};
use crate::pod::memory::Memory;
use crate::pod::observed::{Container, ContainerState, Observed, Sandbox};
use crate::pod::{Pod, backoff, is_sidecar};
use crate::spec;

/// Dead runs that are kept besides the newest run of a container: `logs --previous` shows one.
const KEPT_DEAD_RUNS: usize = 1;

/// What everything below looks at.
struct View<'a> {
    pod: &'a Pod,
    observed: &'a Observed,
    memory: &'a Memory,
    now: Instant,
}

pub(super) fn plan(pod: &Pod, observed: &Observed, memory: &Memory, now: Instant, plan: &mut Plan) {
    let view = View {
        pod,
        observed,
        memory,
        now,
    };
    if !memory.volumes_ready {
        plan.act(Action::PrepareVolumes);
    }
    stale_sandboxes(&view, plan);
    match observed.sandbox() {
        None => new_sandbox(&view, plan),
        Some(sandbox) => {
            in_sandbox(&view, sandbox, plan);
            sweep(&view, plan);
        }
    }
}

/// Sandboxes that died or were overtaken by a newer one are stopped, and removed when nothing of interest is in them.
fn stale_sandboxes(view: &View<'_>, plan: &mut Plan) {
    for (index, sandbox) in view.observed.sandboxes.iter().enumerate() {
        let is_newest = index == 0;
        let has_containers = view.observed.containers.iter().any(|run| run.sandbox_id == sandbox.id);
        if sandbox.ready && !is_newest {
            plan.act(Action::StopSandbox { id: sandbox.id.clone() });
        } else if !sandbox.ready && !is_newest && !has_containers {
            plan.act(Action::RemoveSandbox { id: sandbox.id.clone() });
        }
    }
}

/// There is no living sandbox: what still runs in a dead one is ended, then a new one is made.
fn new_sandbox(view: &View<'_>, plan: &mut Plan) {
    for run in view.observed.alive() {
        plan.act(Action::KillContainer {
            container: run.name.clone(),
            id: run.id.clone(),
            grace_seconds: view.pod.grace_seconds(),
            why: "Pod sandbox changed, it will be killed and re-created.".into(),
        });
    }
    if view.observed.alive().next().is_none() {
        let attempt = view.observed.sandboxes.first().map_or(0, |sandbox| sandbox.attempt + 1);
        plan.act(Action::RunSandbox { attempt });
    }
    // Images can be fetched meanwhile.
    for container in view.pod.all_containers() {
        image(view, container, plan);
    }
}

fn in_sandbox(view: &View<'_>, sandbox: &Sandbox, plan: &mut Plan) {
    // Before everything else: a pod whose init container hangs is one that people want to look into.
    for container in view.pod.ephemeral_containers() {
        once(view, sandbox, container, plan);
    }
    let initialized = is_initialized(view.pod, view.observed, view.memory);
    for container in view.pod.init_containers() {
        let run = view.observed.latest_in(&sandbox.id, &container.name);
        let goes_on = match (is_sidecar(container), initialized) {
            (true, _) => {
                keep_running(view, sandbox, container, run, plan);
                initialized
                    || run.is_some_and(|run| {
                        run.state == ContainerState::Running && has_started(view.memory, container, run)
                    })
            }
            (false, true) => true,
            (false, false) => {
                let succeeded = run.is_some_and(|run| run.exit_code() == Some(0));
                if !succeeded {
                    keep_running(view, sandbox, container, run, plan);
                }
                succeeded
            }
        };
        if !goes_on {
            break;
        }
    }
    let mut may_start = initialized;
    for container in view.pod.containers() {
        let run = view.observed.latest_in(&sandbox.id, &container.name);
        if is_through(view, container) {
            continue;
        }
        if may_start {
            keep_running(view, sandbox, container, run, plan);
            // Containers start in their order; one that failed doesn't hold up the next.
            let failed = |key: Key| view.memory.failures.contains_key(&key);
            let name = &container.name;
            may_start = run.is_some() || failed(Key::Start(name.clone())) || failed(Key::Image(name.clone()));
        } else if run.is_none() {
            image(view, container, plan);
        }
    }
}

/// An ephemeral container runs once in its life.
fn once(view: &View<'_>, sandbox: &Sandbox, container: &core::Container, plan: &mut Plan) {
    let Some(run) = view.observed.latest(&container.name) else {
        return start(view, sandbox, container, 0, plan);
    };
    let is_half_done = run.state == ContainerState::Created;
    if is_half_done && !view.memory.is_under_way(&Key::Start(container.name.clone())) {
        plan.act(Action::RemoveContainer { id: run.id.clone() });
    }
}

/// It ended in this or an earlier sandbox and isn't to run again, while others of the pod go on.
fn is_through(view: &View<'_>, container: &core::Container) -> bool {
    let code = view.observed.latest(&container.name).and_then(Container::exit_code);
    code.is_some_and(|code| !view.pod.restart_policy().restarts(code))
}

/// Brings one container to the state that it should be in.
fn keep_running(
    view: &View<'_>,
    sandbox: &Sandbox,
    container: &core::Container,
    run: Option<&Container>,
    plan: &mut Plan,
) {
    match run {
        None => start(view, sandbox, container, consecutive_before(view, container), plan),
        Some(run) => match run.state {
            // Made, but this or an earlier kubelet didn't come to starting it: begin anew.
            ContainerState::Created if !view.memory.is_under_way(&Key::Start(container.name.clone())) => {
                plan.act(Action::RemoveContainer { id: run.id.clone() });
            }
            ContainerState::Created => {}
            ContainerState::Unknown => kill(
                view,
                run,
                view.pod.grace_seconds(),
                "Container is in unknown state".into(),
                plan,
            ),
            ContainerState::Running => check_running(view, container, run, plan),
            ContainerState::Exited { code, .. } => {
                if view.pod.policy(container).restarts(code) || is_changed(container, run) {
                    restart(view, sandbox, container, run, plan);
                }
            }
        },
    }
}

fn check_running(view: &View<'_>, container: &core::Container, run: &Container, plan: &mut Plan) {
    let name = &container.name;
    if is_changed(container, run) {
        let why = format!("Container {name} definition changed, will be restarted");
        return kill(view, run, view.pod.grace_seconds(), why, plan);
    }
    let unhealthy = view
        .memory
        .probes
        .get(&run.id)
        .and_then(|probed| probed.unhealthy.as_ref());
    if let Some(unhealthy) = unhealthy {
        let grace_seconds = unhealthy.grace_seconds.unwrap_or_else(|| view.pod.grace_seconds());
        let why = format!("Container {name} failed {} probe, will be restarted", unhealthy.probe);
        kill(view, run, grace_seconds, why, plan);
    }
}

fn kill(_view: &View<'_>, run: &Container, grace_seconds: i64, why: String, plan: &mut Plan) {
    plan.act(Action::KillContainer {
        container: run.name.clone(),
        id: run.id.clone(),
        grace_seconds,
        why,
    });
}

fn restart(view: &View<'_>, sandbox: &Sandbox, container: &core::Container, run: &Container, plan: &mut Plan) {
    match restart_at(view.memory, run) {
        Some(at) if at > view.now => plan.wake(at),
        _ => start(view, sandbox, container, backoff::restart(run).consecutive, plan),
    }
}

/// Starts it if its image and volumes are there; sees to the image otherwise.
fn start(view: &View<'_>, sandbox: &Sandbox, container: &core::Container, consecutive: u32, plan: &mut Plan) {
    image(view, container, plan);
    let has_image = view.memory.images.contains_key(&container.name);
    if has_image && view.memory.volumes_ready {
        let target = view.pod.target(&container.name);
        let target = target.and_then(|name| view.observed.latest_in(&sandbox.id, name));
        plan.act(Action::StartContainer {
            container: container.name.clone(),
            sandbox_id: sandbox.id.clone(),
            target_id: target.map(|run| run.id.clone()),
            attempt: view.observed.latest(&container.name).map_or(0, |run| run.attempt + 1),
            consecutive,
        });
    }
}

fn image(view: &View<'_>, container: &core::Container, plan: &mut Plan) {
    if !view.memory.images.contains_key(&container.name) {
        plan.act(Action::EnsureImage {
            container: container.name.clone(),
        });
    }
}

/// A container that is new in this sandbox may have run in one before.
fn consecutive_before(view: &View<'_>, container: &core::Container) -> u32 {
    let before = view.observed.latest(&container.name);
    before
        .and_then(|run| run.annotations.get(backoff::CONSECUTIVE)?.parse().ok())
        .unwrap_or(0)
}

fn is_changed(container: &core::Container, run: &Container) -> bool {
    let made_from = run.annotations.get(super::HASH);
    made_from.is_some_and(|made_from| *made_from != spec::container_hash(container))
}

/// Removes dead runs beyond those that are kept.
fn sweep(view: &View<'_>, plan: &mut Plan) {
    for container in view.pod.all_containers() {
        let dead = view
            .observed
            .runs(&container.name)
            .skip(1)
            .filter(|run| run.exit_code().is_some());
        for run in dead.skip(KEPT_DEAD_RUNS) {
            plan.act(Action::RemoveContainer { id: run.id.clone() });
        }
    }
}
