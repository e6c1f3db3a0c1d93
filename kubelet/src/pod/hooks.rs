//! Lifecycle hooks: `postStart` right after a container started, `preStop` before it is stopped.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use tokio::time::timeout;

use super::Pod;
use super::perform::Failed;
use crate::context::Context;
use crate::probes::{exec, http};
use crate::recorder::Severity;

/// For an HTTP hook that isn't bounded by a grace period.
const HTTP_LIMIT: Duration = Duration::from_secs(30);

/// Runs the hook; a container whose hook fails is killed, and its restart policy applies.
pub(crate) async fn post_start(
    context: &Context,
    pod: &Pod,
    container: &Container,
    id: &str,
    pod_ips: &[String],
) -> Result<(), Failed> {
    let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.post_start.as_ref())
    else {
        return Ok(());
    };
    let Err(error) = run(context, pod, container, hook, id, pod_ips).await else {
        return Ok(());
    };
    let message = format!("PostStartHook failed: {error}");
    context.recorder.pod(
        pod,
        Some(&container.name),
        Severity::Warning,
        "FailedPostStartHook",
        message.clone(),
    );
    // If that fails too, the next look at the pod shows the container running, as it does.
    let _ = context.runtime.stop_container(id, pod.grace_seconds()).await;
    Err(Failed::new("PostStartHookError", message))
}

/// Runs the hook for at most the grace period.
pub(crate) async fn pre_stop(
    context: &Context,
    pod: &Pod,
    container: &Container,
    id: &str,
    pod_ips: &[String],
    grace: Duration,
) {
    let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref())
    else {
        return;
    };
    let ran = timeout(grace, run(context, pod, container, hook, id, pod_ips)).await;
    let error = match ran {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_) => format!("it took longer than the grace period of {} s", grace.as_secs()),
    };
    let message = format!("PreStopHook failed: {error}");
    context.recorder.pod(
        pod,
        Some(&container.name),
        Severity::Warning,
        "FailedPreStopHook",
        message,
    );
}

async fn run(
    context: &Context,
    pod: &Pod,
    container: &Container,
    hook: &LifecycleHandler,
    id: &str,
    pod_ips: &[String],
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return exec::run(&*context.runtime, id, command, Duration::ZERO).await;
    }
    if let Some(action) = &hook.http_get {
        let address = pod_ips.first().or(context.node.ips.first()).map(String::as_str);
        let target = http::target(
            action,
            container,
            address.filter(|_| !pod.is_host_network()).unwrap_or("127.0.0.1"),
        )?;
        return http::get(&target, HTTP_LIMIT).await;
    }
    if let Some(sleep) = &hook.sleep {
        let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    Ok(())
}
