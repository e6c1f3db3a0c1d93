//! Creates and starts one container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use minik_api::cri::{Mount, PodSandboxConfig, UserNamespace};

use super::Pod;
use super::perform::{Done, Failed};
use super::worker::Message;
use super::{features, hooks, pull};
use crate::context::Context;
use crate::objects;
use crate::recorder::Severity;
use crate::spec::{container as config, env, references, security};
use crate::user_range;
use crate::volumes::{files, mounts};

/// What is to be started, and in what.
pub(crate) struct Start<'a> {
    pub(crate) container: &'a str,
    pub(crate) sandbox_id: &'a str,
    /// The container whose processes it is to see.
    pub(crate) target_id: Option<String>,
    pub(crate) sandbox: PodSandboxConfig,
    /// Where progress goes.
    pub(crate) tell: &'a tokio::sync::mpsc::Sender<Message>,
    pub(crate) pod_ips: &'a [String],
    pub(crate) image_ref: &'a str,
    pub(crate) attempt: u32,
    pub(crate) consecutive: u32,
}

/// From the spec to a running process. What fails says at which of the steps, in Kubernetes' reasons.
pub(crate) async fn start(context: &Context, pod: &Pod, wanted: Start<'_>) -> Result<Done, Failed> {
    let name = wanted.container;
    let Some(container) = pod.container(name) else {
        return Err(Failed::new(
            "CreateContainerConfigError",
            format!("the pod has no container {name}"),
        ));
    };
    let warn = |failed: Failed| {
        let message = format!("Error: {}", failed.message);
        context
            .recorder
            .pod(pod, Some(name), Severity::Warning, "Failed", message);
        failed
    };
    check_user(context, pod, container, wanted.image_ref)
        .await
        .map_err(warn)?;
    let config_error = |message: String| Failed::new("CreateContainerConfigError", message);
    let references = references::of_environment(container);
    let objects = objects::fetch(&*context.lookup, &pod.namespace, &references).await;
    let objects = objects.map_err(|error| warn(config_error(error.to_string())))?;
    // Known a moment after the kubelet has begun; a container that began before would never find them.
    let mut services = context.services.clone();
    let services = services
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|known| known.clone());
    let services = services.unwrap_or_default();
    let environment = env::environment(&env::Sources {
        pod,
        container,
        objects: &objects,
        services: &services,
        pod_ips: wanted.pod_ips,
        node: &context.node,
    });
    let environment = environment.map_err(|error| warn(config_error(error.to_string())))?;
    let users = user_range::of(pod, &context.node);
    let mounts = make_mounts(context, pod, &wanted, container, &environment, users.as_ref()).await;
    let mounts = mounts.map_err(warn)?;
    let config = config::config(config::Parts {
        pod,
        container,
        image_ref: wanted.image_ref,
        attempt: wanted.attempt,
        consecutive: wanted.consecutive,
        environment,
        mounts,
        target_id: wanted.target_id,
        users,
        node: &context.node,
    });
    let log_dir = context.node.log_dir(pod).join(name);
    let made = files::directory(&log_dir, 0o755);
    made.map_err(|error| warn(Failed::new("CreateContainerError", error.to_string())))?;
    let created = context
        .runtime
        .create_container(wanted.sandbox_id, config, wanted.sandbox)
        .await;
    let id = created.map_err(|error| warn(Failed::new("CreateContainerError", error.message)))?;
    context.recorder.pod(
        pod,
        Some(name),
        Severity::Normal,
        "Created",
        format!("Created container: {name}"),
    );
    let started = context.runtime.start_container(&id).await;
    started.map_err(|error| warn(Failed::new("RunContainerError", without_id(&error.message, &id))))?;
    context.recorder.pod(
        pod,
        Some(name),
        Severity::Normal,
        "Started",
        format!("Started container {name}"),
    );
    hooks::post_start(context, pod, container, &id, wanted.pod_ips).await?;
    Ok(Done::Started)
}

/// The runtime's words without the container's id, which is another one at each attempt: the same failure is one event.
fn without_id(message: &str, id: &str) -> String {
    let cause = message.split_once(id).map_or(message, |(_, cause)| cause);
    cause.trim_start_matches([':', ' ', '"']).to_owned()
}

async fn make_mounts(
    context: &Context,
    pod: &Pod,
    wanted: &Start<'_>,
    container: &Container,
    environment: &[(String, String)],
    users: Option<&UserNamespace>,
) -> Result<Vec<Mount>, Failed> {
    let mut mounts = container.volume_mounts.iter().flatten();
    let recursive_read_only = mounts.any(|mount| mount.recursive_read_only.is_some())
        && features::of(context, pod).await?.recursive_read_only_mounts;
    let parts = mounts::Parts {
        pod,
        container,
        attempt: wanted.attempt,
        pod_ips: wanted.pod_ips,
        environment,
        images: &images(context, pod, wanted, container).await?,
        recursive_read_only,
        users,
        node: &context.node,
    };
    mounts::of(&parts).map_err(|error| Failed::new("CreateContainerConfigError", error.to_string()))
}

/// What the runtime calls the images of the volumes that this container mounts, by the volumes' names. They come as
/// containers' images do.
async fn images(
    context: &Context,
    pod: &Pod,
    wanted: &Start<'_>,
    container: &Container,
) -> Result<BTreeMap<String, String>, Failed> {
    let mut images = BTreeMap::new();
    for volume in pod.spec.volumes.iter().flatten() {
        let mounted = container
            .volume_mounts
            .iter()
            .flatten()
            .any(|mount| mount.name == volume.name);
        let Some(source) = volume.image.as_ref().filter(|_| mounted) else {
            continue;
        };
        let of_volume = Container {
            name: container.name.clone(),
            image: source.reference.clone(),
            image_pull_policy: source.pull_policy.clone(),
            ..Default::default()
        };
        let done = pull::ensure(context, pod, &of_volume, wanted.sandbox.clone(), wanted.tell).await?;
        if let Done::Image(image_ref) = done {
            images.insert(volume.name.clone(), image_ref);
        }
    }
    Ok(images)
}

/// A container that must not be root is checked against its image's user, where it names none itself.
async fn check_user(context: &Context, pod: &Pod, container: &Container, image_ref: &str) -> Result<(), Failed> {
    let refused = |error: security::RootUser| Failed::new("CreateContainerConfigError", error.to_string());
    if !security::must_check_image_user(pod, container).map_err(refused)? {
        return Ok(());
    }
    let image = context.runtime.image_status(image_ref).await;
    let image = image.map_err(|error| Failed::new("ImageInspectError", error.message))?;
    security::check_image_user(&image.unwrap_or_default()).map_err(refused)
}
