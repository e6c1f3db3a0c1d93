//! The phase: the whole pod in one word.

use k8s_openapi::api::core::v1::ContainerStatus;

use super::containers::View;
use crate::pod::decide::Ending;
use crate::pod::is_sidecar;
use crate::pod::observed::{Container, ContainerState};

/// `Pending`, `Running`, `Succeeded` or `Failed`.
pub(super) fn phase(view: &View<'_>, inits: &[ContainerStatus], statuses: &[ContainerStatus]) -> &'static str {
    // A pod that has ended for good never comes back.
    match view.pod.status.phase.as_deref() {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let is_down = view.observed.alive().next().is_none();
    match view.ending {
        Some(Ending::DeadlineExceeded { .. }) if is_down => return "Failed",
        Some(_) if is_down => return terminal(view, inits, statuses),
        _ => {}
    }
    let has_run = |status: &ContainerStatus| view.observed.latest(&status.name).is_some_and(has_begun);
    match statuses.iter().all(has_run) {
        true => "Running",
        // Init containers are at work, or an image, volume or start is still to come.
        false => "Pending",
    }
}

/// It runs or has run; one that is only created doesn't count.
fn has_begun(run: &Container) -> bool {
    run.state != ContainerState::Created
}

/// Everything stands still and will do so.
fn terminal(view: &View<'_>, inits: &[ContainerStatus], statuses: &[ContainerStatus]) -> &'static str {
    let succeeded = |name: &str| view.observed.latest(name).and_then(Container::exit_code) == Some(0);
    let init_failed = inits.iter().any(|status| {
        let is_plain = view
            .pod
            .container(&status.name)
            .is_some_and(|container| !is_sidecar(container));
        let code = view.observed.latest(&status.name).and_then(Container::exit_code);
        is_plain && code.is_some_and(|code| code != 0)
    });
    if !init_failed && statuses.iter().all(|status| succeeded(&status.name)) {
        "Succeeded"
    } else {
        "Failed"
    }
}
