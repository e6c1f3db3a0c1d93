//! Looks at one pod in the runtime: its sandboxes and containers, with their states.
//!
//! Two rounds of calls: lists, then the status of each thing in parallel. Whatever vanishes in between is left out, since the
//! next event brings another look.

use futures::future::try_join_all;
use minik_api::cri;

use super::{CallError, Runtime, labels};
use crate::pod::observed::{Container, ContainerState, Observed, Sandbox};

/// Everything that the runtime has of the pod with this uid.
pub(crate) async fn observe(runtime: &dyn Runtime, node: &str, uid: &str) -> Result<Observed, CallError> {
    let labels = || {
        vec![
            (labels::POD_UID.to_owned(), uid.to_owned()),
            (labels::NODE.to_owned(), node.to_owned()),
        ]
    };
    let (sandboxes, containers) =
        futures::try_join!(runtime.list_pod_sandboxes(labels()), runtime.list_containers(labels()))?;
    let sandboxes = try_join_all(sandboxes.iter().map(|sandbox| sandbox_status(runtime, &sandbox.id)));
    let containers = try_join_all(containers.iter().map(|container| container_status(runtime, container)));
    let (sandboxes, containers) = futures::try_join!(sandboxes, containers)?;
    Ok(Observed::new(
        sandboxes.into_iter().flatten().collect(),
        containers.into_iter().flatten().collect(),
    ))
}

async fn sandbox_status(runtime: &dyn Runtime, id: &str) -> Result<Option<Sandbox>, CallError> {
    match runtime.pod_sandbox_status(id).await {
        Ok(status) => Ok(Some(sandbox(status))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn container_status(runtime: &dyn Runtime, listed: &cri::Container) -> Result<Option<Container>, CallError> {
    match runtime.container_status(&listed.id).await {
        Ok(status) => Ok(Some(container(&listed.pod_sandbox_id, status))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn sandbox(status: cri::PodSandboxStatus) -> Sandbox {
    let ready = status.state() == cri::PodSandboxState::SandboxReady;
    let network = status.network.unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    Sandbox {
        id: status.id,
        attempt: status.metadata.unwrap_or_default().attempt,
        ready,
        created_at_nanos: status.created_at,
        ips: std::iter::once(network.ip)
            .chain(more)
            .filter(|ip| !ip.is_empty())
            .collect(),
    }
}

fn container(sandbox_id: &str, status: cri::ContainerStatus) -> Container {
    let state = match status.state() {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerRunning => ContainerState::Running,
        cri::ContainerState::ContainerExited => ContainerState::Exited {
            code: status.exit_code,
            finished_at_nanos: status.finished_at,
        },
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
    };
    let metadata = status.metadata.unwrap_or_default();
    Container {
        id: status.id,
        sandbox_id: sandbox_id.to_owned(),
        name: metadata.name,
        attempt: metadata.attempt,
        state,
        created_at_nanos: status.created_at,
        started_at_nanos: status.started_at,
        reason: status.reason,
        message: status.message,
        image: status.image.map(user_image).unwrap_or_default(),
        image_ref: if status.image_ref.is_empty() {
            status.image_id
        } else {
            status.image_ref
        },
        log_path: status.log_path,
        annotations: status.annotations.into_iter().collect(),
    }
}

/// The image as the pod names it, where the runtime keeps that.
fn user_image(spec: cri::ImageSpec) -> String {
    match (spec.user_specified_image, spec.image) {
        (name, _) if !name.is_empty() => name,
        (_, id) if id.starts_with("sha256:") => String::new(),
        (_, name) => name,
    }
}
