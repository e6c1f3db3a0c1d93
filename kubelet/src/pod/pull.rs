//! Sees to a container's image: present already, or pulled, by its pull policy.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Secret};
use minik_api::cri::{AuthConfig, PodSandboxConfig};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tonic::Code;

use super::Pod;
use super::perform::{Done, Failed};
use super::worker::Message;
use crate::context::Context;
use crate::cri::CallError;
use crate::image_name;
use crate::progress;
use crate::recorder::Severity;

/// A pull that ends sooner says nothing about its progress; later it speaks this often.
const SPEAK_EVERY: Duration = Duration::from_secs(1);

/// When an image is fetched anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Always,
    IfNotPresent,
    Never,
}

/// What the container says; otherwise `Always` for what may be another image tomorrow.
pub(crate) fn policy(container: &Container) -> Policy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => Policy::Always,
        Some("Never") => Policy::Never,
        Some("IfNotPresent") => Policy::IfNotPresent,
        _ if image_name::is_latest(container.image.as_deref().unwrap_or_default()) => Policy::Always,
        _ => Policy::IfNotPresent,
    }
}

/// Gives what the runtime calls the image.
pub(crate) async fn ensure(
    context: &Context,
    pod: &Pod,
    container: &Container,
    sandbox: PodSandboxConfig,
    tell: &tokio::sync::mpsc::Sender<Message>,
) -> Result<Done, Failed> {
    let image = container.image.as_deref().unwrap_or_default();
    let normal = |reason, message| {
        context
            .recorder
            .pod(pod, Some(&container.name), Severity::Normal, reason, message)
    };
    let policy = policy(container);
    if policy != Policy::Always {
        let present = context.runtime.image_status(image).await;
        match present.map_err(|error| Failed::new("ImageInspectError", error.message))? {
            Some(found) => {
                normal(
                    "Pulled",
                    format!("Container image \"{image}\" already present on machine"),
                );
                return Ok(Done::Image(found.id));
            }
            None if policy == Policy::Never => {
                let message = format!(
                    "Container image \"{image}\" is not present with pull policy of Never: import it (minikctl image import FILE) or change imagePullPolicy"
                );
                context.recorder.pod(
                    pod,
                    Some(&container.name),
                    Severity::Warning,
                    "ErrImageNeverPull",
                    message.clone(),
                );
                return Err(Failed::new("ErrImageNeverPull", message));
            }
            None => {}
        }
    }
    normal("Pulling", format!("Pulling image \"{image}\""));
    let begun = Instant::now();
    let auths = credentials(context, pod, image).await;
    let pulled = with_progress(context, pod, container, tell, pull(context, image, auths, sandbox)).await;
    match pulled {
        Ok(reference) => {
            normal("Pulled", pulled_message(context, image, begun.elapsed()).await);
            Ok(Done::Image(reference))
        }
        Err(error) => {
            let refusal = Refusal::of(image, error);
            let warn = |reason, message| {
                context
                    .recorder
                    .pod(pod, Some(&container.name), Severity::Warning, reason, message)
            };
            warn(refusal.event, refusal.said);
            warn("Failed", format!("Error: {}", refusal.reason));
            Err(Failed::new(refusal.reason, refusal.message))
        }
    }
}

/// A pull that failed, in the words of the container's status and of its events.
struct Refusal {
    reason: &'static str,
    message: String,
    event: &'static str,
    said: String,
}

impl Refusal {
    fn of(image: &str, error: CallError) -> Self {
        // Kubernetes has a reason of its own for what is no image name, and its words for it.
        if error.code == Code::InvalidArgument {
            let message = format!("Failed to apply default image tag \"{image}\": {}", error.message);
            return Self {
                reason: "InvalidImageName",
                said: message.clone(),
                message,
                event: "InspectFailed",
            };
        }
        Self {
            reason: "ErrImagePull",
            said: format!("Failed to pull image \"{image}\": {}", error.message),
            message: error.message,
            event: "Failed",
        }
    }
}

async fn pulled_message(context: &Context, image: &str, took: Duration) -> String {
    let size = context
        .runtime
        .image_status(image)
        .await
        .ok()
        .flatten()
        .map_or(0, |found| found.size);
    let took = match took.as_secs() {
        0 => format!("{}ms", took.as_millis()),
        _ => format!("{:.3}s", took.as_secs_f64()),
    };
    format!("Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes.")
}

/// Tries each credential in turn; without any, as nobody.
async fn pull(
    context: &Context,
    image: &str,
    auths: Vec<AuthConfig>,
    sandbox: PodSandboxConfig,
) -> Result<String, CallError> {
    let mut auths = auths.into_iter().peekable();
    loop {
        let pulled = context.runtime.pull_image(image, auths.next(), sandbox.clone()).await;
        if pulled.is_ok() || auths.peek().is_none() {
            return pulled;
        }
    }
}

/// Tells the worker how far the pull is while it goes on, and once, when it turns out to take a while, everybody else.
async fn with_progress<T>(
    context: &Context,
    pod: &Pod,
    container: &Container,
    tell: &tokio::sync::mpsc::Sender<Message>,
    pull: impl Future<Output = T>,
) -> T {
    let image = container.image.as_deref().unwrap_or_default();
    let full = image_name::full(image);
    let mut speak = tokio::time::interval_at(Instant::now() + SPEAK_EVERY, SPEAK_EVERY);
    let mut said = String::new();
    tokio::pin!(pull);
    loop {
        tokio::select! {
            result = &mut pull => return result,
            _ = speak.tick() => {
                let words = context.pulls.borrow().get(&full).map(|progress| progress::in_words(image, progress));
                let Some(words) = words.filter(|words| *words != said) else { continue };
                if said.is_empty() {
                    context.recorder.pod(pod, Some(&container.name), Severity::Normal, "Pulling", words.clone());
                }
                said.clone_from(&words);
                let message = Message::Progress { container: container.name.clone(), words };
                // A worker that is gone needs no progress.
                let _ = tell.send(message).await;
            }
        }
    }
}

/// The credentials for this image's registry in the pod's pull secrets.
async fn credentials(context: &Context, pod: &Pod, image: &str) -> Vec<AuthConfig> {
    let mut found = Vec::new();
    for reference in pod.spec.image_pull_secrets.iter().flatten() {
        // A pull secret that isn't there doesn't keep a public image from being pulled: so does Kubernetes.
        match context.lookup.secret(&pod.namespace, &reference.name).await {
            Ok(Some(secret)) => found.extend(auths(&secret, &image_name::registry(image))),
            _ => {
                let message = format!(
                    "Unable to retrieve image pull secret \"{}\"; attempting to pull the image without it.",
                    reference.name
                );
                context
                    .recorder
                    .pod(pod, None, Severity::Warning, "FailedToRetrieveImagePullSecret", message);
            }
        }
    }
    found
}

/// One entry of a docker configuration.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

/// Reads `.dockerconfigjson` or the older `.dockercfg`.
fn auths(secret: &Secret, registry: &str) -> Vec<AuthConfig> {
    let data = secret.data.as_ref();
    let read = |key: &str| {
        data.and_then(|data| data.get(key))
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes.0).ok())
    };
    let entries = read(".dockerconfigjson")
        .map(|config| config["auths"].clone())
        .or_else(|| read(".dockercfg"));
    let entries = entries.as_ref().and_then(Value::as_object);
    let matching = entries
        .into_iter()
        .flatten()
        .filter(|(server, _)| host_of(server) == registry);
    matching
        .filter_map(|(server, entry)| {
            let entry: Entry = serde_json::from_value(entry.clone()).ok()?;
            Some(AuthConfig {
                username: entry.username,
                password: entry.password,
                auth: entry.auth,
                identity_token: entry.identitytoken,
                server_address: server.clone(),
                registry_token: String::new(),
            })
        })
        .collect()
}

/// `https://index.docker.io/v1/` is `docker.io`.
fn host_of(server: &str) -> &str {
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    match server.split('/').next().unwrap_or(server) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_policy_follows_the_tag() {
        for (image, said, expected) in [
            ("nginx", None, Policy::Always),
            ("nginx:latest", None, Policy::Always),
            ("nginx:stable", None, Policy::IfNotPresent),
            ("nginx:latest", Some("Never"), Policy::Never),
            ("nginx", Some("IfNotPresent"), Policy::IfNotPresent),
        ] {
            let container = Container {
                image: Some(image.into()),
                image_pull_policy: said.map(str::to_owned),
                ..Default::default()
            };
            assert_eq!(policy(&container), expected, "{image} {said:?}");
        }
    }

    #[test]
    fn pull_secrets_are_read_for_their_registry() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOm1l"},
            "localhost:5000": {"username": "me", "password": "secret"}}});
        let secret = Secret {
            data: Some(
                [(
                    ".dockerconfigjson".to_owned(),
                    k8s_openapi::ByteString(config.to_string().into_bytes()),
                )]
                .into(),
            ),
            ..Default::default()
        };
        assert_eq!(auths(&secret, "docker.io")[0].auth, "aHViOm1l");
        assert_eq!(auths(&secret, "localhost:5000")[0].username, "me");
        assert!(auths(&secret, "ghcr.io").is_empty());
    }
}
