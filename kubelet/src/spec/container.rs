//! A container's config, put together from all the parts.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Container;
use minik_api::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig, Mount, Signal, UserNamespace,
};

use super::{Node, container_hash, env, expand, log_path, resources, sandbox, security};
use crate::cri::labels;
use crate::pod::{Pod, backoff, decide};

/// Everything that a config is made from.
pub(crate) struct Parts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    /// What the runtime calls the image.
    pub(crate) image_ref: &'a str,
    pub(crate) attempt: u32,
    pub(crate) consecutive: u32,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    /// The container whose processes it is to see.
    pub(crate) target_id: Option<String>,
    /// The pod's users, if they aren't the node's.
    pub(crate) users: Option<UserNamespace>,
    pub(crate) node: &'a Node,
}

/// The config that `CreateContainer` takes.
pub(crate) fn config(parts: Parts<'_>) -> ContainerConfig {
    let Parts {
        pod, container, node, ..
    } = parts;
    let expanded = |words: &Option<Vec<String>>| {
        let words = words.iter().flatten();
        words
            .map(|word| expand::expand(word, |name| env::lookup(&parts.environment, name)))
            .collect()
    };
    let mut labels = sandbox::pod_labels(pod, node);
    labels.retain(|name, _| name.starts_with("io.kubernetes.") || name.starts_with("minik.dev/"));
    labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: container.name.clone(),
            attempt: parts.attempt,
        }),
        image: Some(ImageSpec {
            image: parts.image_ref.to_owned(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        labels,
        annotations: annotations(&parts),
        log_path: log_path(&container.name, parts.attempt).to_string_lossy().into_owned(),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(LinuxContainerConfig {
            resources: Some(resources::container(pod, container, node)),
            security_context: Some(security::container(pod, container, parts.target_id, parts.users)),
        }),
        stop_signal: stop_signal(container).into(),
        envs: parts
            .environment
            .into_iter()
            .map(|(key, value)| KeyValue {
                key,
                value: value.into_bytes(),
            })
            .collect(),
        mounts: parts.mounts,
        ..Default::default()
    }
}

fn annotations(parts: &Parts<'_>) -> HashMap<String, String> {
    let container = parts.container;
    let path = container.termination_message_path.clone().unwrap_or_default();
    let policy = container.termination_message_policy.clone().unwrap_or_default();
    HashMap::from([
        (decide::HASH.to_owned(), container_hash(container)),
        (backoff::CONSECUTIVE.to_owned(), parts.consecutive.to_string()),
        (
            "io.kubernetes.container.restartCount".to_owned(),
            parts.attempt.to_string(),
        ),
        ("io.kubernetes.container.terminationMessagePath".to_owned(), path),
        ("io.kubernetes.container.terminationMessagePolicy".to_owned(), policy),
        (
            "io.kubernetes.pod.terminationGracePeriod".to_owned(),
            parts.pod.grace_seconds().to_string(),
        ),
    ])
}

fn stop_signal(container: &Container) -> Signal {
    let name = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    name.and_then(|name| Signal::from_str_name(&format!("SIGNAL_{name}")))
        .unwrap_or(Signal::RuntimeDefault)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing;

    #[test]
    fn commands_are_expanded_and_records_kept() {
        let pod = testing::pod(json!({"containers": [{
            "name": "a", "image": "nginx:stable", "command": ["sh", "-c"], "args": ["echo $(WHO) $(NOBODY) $$(WHO)"],
            "lifecycle": {"stopSignal": "SIGQUIT"}}]}));
        let config = config(Parts {
            pod: &pod,
            container: &pod.containers()[0],
            image_ref: "sha256:abc",
            attempt: 3,
            consecutive: 2,
            environment: vec![("WHO".into(), "me".into())],
            mounts: Vec::new(),
            target_id: None,
            users: None,
            node: &Node::default(),
        });
        assert_eq!(config.args, ["echo me $(NOBODY) $(WHO)"]);
        assert_eq!(config.log_path, "a/3.log");
        assert_eq!(config.annotations[backoff::CONSECUTIVE], "2");
        assert_eq!(config.labels[labels::CONTAINER_NAME], "a");
        assert_eq!(config.stop_signal(), Signal::Sigquit);
        let image = config.image.expect("always set");
        assert_eq!(
            (image.image.as_str(), image.user_specified_image.as_str()),
            ("sha256:abc", "nginx:stable")
        );
    }
}
