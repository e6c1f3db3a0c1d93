//! The sandbox's config: names, log directory, resolver, published ports, cgroup and namespaces.

use std::collections::{BTreeMap, HashMap};

use minik_api::cri::{
    DnsConfig, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol, UserNamespace,
};
use minik_api::trace;

use super::qos::Class;
use super::{Node, qos, resources, security};
use crate::cri::labels;
use crate::pod::Pod;

/// The longest host name that the kernel takes, less one.
const HOSTNAME_BYTES: usize = 63;

/// The config for the sandbox's next attempt.
pub(crate) fn config(
    pod: &Pod,
    attempt: u32,
    dns: DnsConfig,
    users: Option<UserNamespace>,
    node: &Node,
) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            attempt,
        }),
        hostname: hostname(pod),
        log_directory: node.log_dir(pod).to_string_lossy().into_owned(),
        dns_config: Some(dns),
        port_mappings: port_mappings(pod),
        labels: pod_labels(pod, node),
        annotations: annotations(pod),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup(pod, node),
            security_context: Some(security::sandbox(pod, users)),
            sysctls: sysctls(pod),
            overhead: None,
            resources: Some(resources::pod(pod)),
        }),
        windows: None,
    }
}

/// The labels that say whose this is; a container has one more.
pub(crate) fn pod_labels(pod: &Pod, node: &Node) -> HashMap<String, String> {
    let own = [
        (labels::POD_NAME, &pod.name),
        (labels::POD_NAMESPACE, &pod.namespace),
        (labels::POD_UID, &pod.uid),
        (labels::NODE, &node.name),
    ];
    let mut labels: HashMap<String, String> = pod.labels().into_iter().collect();
    labels.extend(own.map(|(name, value)| (name.to_owned(), value.clone())));
    labels
}

fn annotations(pod: &Pod) -> HashMap<String, String> {
    let annotations: BTreeMap<String, String> = pod.metadata.annotations.clone().unwrap_or_default();
    let wanted = |name: &str| name == trace::ANNOTATION || !name.starts_with("kubectl.kubernetes.io/");
    annotations.into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// Empty with the node's network: the node's name is kept.
pub(crate) fn hostname(pod: &Pod) -> String {
    if pod.is_host_network() {
        return String::new();
    }
    let name = pod
        .spec
        .hostname
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or(&pod.name);
    let name = &name[..name.len().min(HOSTNAME_BYTES)];
    name.trim_end_matches(['-', '.']).to_owned()
}

/// Below the class's cgroup, guaranteed pods beside the other classes, as Kubernetes lays it out.
pub(crate) fn cgroup(pod: &Pod, node: &Node) -> String {
    let class = match qos::class(&pod.spec) {
        Class::Guaranteed => "",
        Class::Burstable => "/burstable",
        Class::BestEffort => "/besteffort",
    };
    format!(
        "{}/kubepods{class}/pod{}",
        node.cgroup_parent.trim_end_matches('/'),
        pod.uid
    )
}

fn sysctls(pod: &Pod) -> HashMap<String, String> {
    let sysctls = pod
        .spec
        .security_context
        .iter()
        .flat_map(|context| context.sysctls.iter().flatten());
    sysctls
        .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
        .collect()
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    if pod.is_host_network() {
        return Vec::new();
    }
    let ports = pod
        .all_containers()
        .flat_map(|container| container.ports.iter().flatten());
    ports
        .filter(|port| port.host_port.is_some_and(|host_port| host_port > 0))
        .map(|port| PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            }
            .into(),
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or_default(),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing;

    fn node() -> Node {
        Node {
            name: "n1".into(),
            cgroup_parent: "/minik-default".into(),
            root: "/var/lib/minik/default/kubelet".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_sandbox_says_whose_it_is() {
        let pod = testing::pod(json!({"containers": [
            {"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]}));
        let config = config(&pod, 2, DnsConfig::default(), None, &node());
        assert_eq!(
            config.log_directory,
            "/var/lib/minik/default/kubelet/pods-logs/default_web_uid-1"
        );
        assert_eq!(config.labels[labels::POD_UID], "uid-1");
        assert_eq!(config.labels[labels::NODE], "n1");
        assert_eq!(config.metadata.expect("always set").attempt, 2);
        assert_eq!(config.port_mappings.len(), 1);
        let linux = config.linux.expect("always set");
        assert_eq!(linux.cgroup_parent, "/minik-default/kubepods/besteffort/poduid-1");
    }

    #[test]
    fn the_nodes_network_needs_no_ports_and_no_name() {
        let pod = testing::pod(json!({"hostNetwork": true, "containers": [
            {"name": "a", "ports": [{"containerPort": 80, "hostPort": 80}]}]}));
        let config = config(&pod, 0, DnsConfig::default(), None, &node());
        assert!(config.port_mappings.is_empty() && config.hostname.is_empty());
    }

    #[test]
    fn long_names_are_cut_where_a_name_may_end() {
        let mut pod = testing::pod(json!({"containers": []}));
        pod.name = format!("{}-x", "a".repeat(62));
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
