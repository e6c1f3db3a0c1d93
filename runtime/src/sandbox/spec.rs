//! From what the kubelet asks for to `sandbox.json`, which the shim carries out. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minik_api::cri;
use oci_spec::runtime::LinuxResources;

use super::SandboxError;
use crate::shim::{NamespaceSource, OciRuntime, PidMode, PortMapping, Protocol, SandboxSpec};
use crate::state::SandboxRecord;

/// The shim's part of a sandbox.
pub(super) fn spec(
    record: &SandboxRecord,
    hostname: &str,
    resources: Option<LinuxResources>,
    oci_runtime: Option<OciRuntime>,
) -> Result<SandboxSpec, SandboxError> {
    let namespaces = record.namespaces();
    let linux = record.config.linux.clone().unwrap_or_default();
    let source = |mode: cri::NamespaceMode| match mode {
        cri::NamespaceMode::Node => NamespaceSource::Host,
        _ => NamespaceSource::New,
    };
    Ok(SandboxSpec {
        id: record.id.clone(),
        hostname: hostname.to_owned(),
        net: source(namespaces.network()),
        ipc: source(namespaces.ipc()),
        // The host name belongs to whoever has the network.
        uts: source(namespaces.network()),
        pid: match namespaces.pid() {
            cri::NamespaceMode::Pod => PidMode::Pod,
            cri::NamespaceMode::Container => PidMode::Container,
            cri::NamespaceMode::Node => PidMode::Host,
            cri::NamespaceMode::Target => PidMode::Target(namespaces.target_id),
        },
        port_mappings: port_mappings(&record.config.port_mappings, record.host_network())?,
        users: record.users()?,
        sysctls: linux.sysctls.into_iter().collect::<BTreeMap<_, _>>(),
        cgroup_parent: Some(record.cgroup_parent.clone()),
        resources,
        log_directory: log_directory(&record.config),
        oci_runtime,
    })
}

/// The pod's cgroup: the kubelet's wish, else one of the instance's own.
pub(super) fn cgroup_parent(config: &cri::PodSandboxConfig, instance_parent: &Path, id: &str) -> PathBuf {
    match config.linux.as_ref().map(|linux| linux.cgroup_parent.as_str()) {
        Some(parent) if !parent.is_empty() => Path::new("/").join(parent),
        _ => instance_parent.join(id),
    }
}

/// The pod's host name: as asked for; the node's if its network is the node's; else its name.
pub(super) fn hostname(config: &cri::PodSandboxConfig, host_network: bool, node: &str) -> String {
    let name = config
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.as_str())
        .unwrap_or_default();
    match config.hostname.as_str() {
        "" if host_network => node.to_owned(),
        // sethostname(2) takes no more than 64 bytes; pods' names are ASCII.
        "" => name.chars().take(63).collect(),
        asked => asked.to_owned(),
    }
}

fn log_directory(config: &cri::PodSandboxConfig) -> Option<PathBuf> {
    (!config.log_directory.is_empty()).then(|| PathBuf::from(&config.log_directory))
}

fn port_mappings(asked: &[cri::PortMapping], host_network: bool) -> Result<Vec<PortMapping>, SandboxError> {
    // In the node's network the process itself listens; 0 asks for no port of the node.
    let published = asked.iter().filter(|mapping| !host_network && mapping.host_port != 0);
    published.map(port_mapping).collect()
}

fn port_mapping(asked: &cri::PortMapping) -> Result<PortMapping, SandboxError> {
    let port = |number: i32| u16::try_from(number).map_err(|_| SandboxError::InvalidPort(number));
    let protocol = match asked.protocol() {
        cri::Protocol::Tcp => Protocol::Tcp,
        cri::Protocol::Udp => Protocol::Udp,
        cri::Protocol::Sctp => return Err(SandboxError::Sctp),
    };
    let host_ip = match asked.host_ip.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| SandboxError::InvalidAddress(text.to_owned()))?,
        ),
    };
    Ok(PortMapping {
        protocol,
        host_ip,
        host_port: port(asked.host_port)?,
        container_port: port(asked.container_port)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SandboxPhase;

    fn record(options: cri::NamespaceOption, port_mappings: Vec<cri::PortMapping>) -> SandboxRecord {
        let context = cri::LinuxSandboxSecurityContext {
            namespace_options: Some(options),
            ..Default::default()
        };
        let linux = cri::LinuxPodSandboxConfig {
            security_context: Some(context),
            ..Default::default()
        };
        SandboxRecord {
            id: "5a".to_owned(),
            created_at_nanos: 0,
            phase: SandboxPhase::Starting,
            network: None,
            cgroup_parent: PathBuf::from("/pods/5a"),
            runtime_handler: String::new(),
            config: cri::PodSandboxConfig {
                linux: Some(linux),
                port_mappings,
                ..Default::default()
            },
        }
    }

    fn options(network: cri::NamespaceMode, pid: cri::NamespaceMode) -> cri::NamespaceOption {
        cri::NamespaceOption {
            network: network.into(),
            pid: pid.into(),
            ..Default::default()
        }
    }

    fn mapping(host_port: i32, host_ip: &str) -> cri::PortMapping {
        cri::PortMapping {
            host_port,
            container_port: 80,
            host_ip: host_ip.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_pod_of_its_own_publishes_ports() {
        let own = options(cri::NamespaceMode::Pod, cri::NamespaceMode::Container);
        let spec = spec(
            &record(own, vec![mapping(0, ""), mapping(8080, "::1")]),
            "web",
            None,
            None,
        )
        .expect("a spec");
        assert_eq!(
            (spec.net, spec.uts, spec.pid),
            (NamespaceSource::New, NamespaceSource::New, PidMode::Container)
        );
        assert_eq!(spec.port_mappings.len(), 1);
        assert_eq!(spec.port_mappings[0].host_ip, Some("::1".parse().expect("an address")));
    }

    #[test]
    fn a_pod_in_the_nodes_network_keeps_name_and_ports_of_the_node() {
        let node = options(cri::NamespaceMode::Node, cri::NamespaceMode::Node);
        let spec = spec(&record(node, vec![mapping(8080, "")]), "node", None, None).expect("a spec");
        assert_eq!(
            (spec.net, spec.uts, spec.pid),
            (NamespaceSource::Host, NamespaceSource::Host, PidMode::Host)
        );
        assert_eq!(spec.port_mappings, vec![]);
    }

    #[test]
    fn impossible_ports_are_refused() {
        let own = options(cri::NamespaceMode::Pod, cri::NamespaceMode::Pod);
        for (port, address) in [(70_000, ""), (-1, ""), (80, "localhost")] {
            assert!(
                spec(&record(own.clone(), vec![mapping(port, address)]), "web", None, None).is_err(),
                "{port} {address}"
            );
        }
    }

    #[test]
    fn host_names_and_cgroups_have_defaults() {
        let mut config = cri::PodSandboxConfig {
            metadata: Some(cri::PodSandboxMetadata {
                name: "web".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(hostname(&config, false, "node"), "web");
        assert_eq!(hostname(&config, true, "node"), "node");
        config.hostname = "other".to_owned();
        assert_eq!(hostname(&config, true, "node"), "other");
        assert_eq!(
            cgroup_parent(&config, Path::new("/minik"), "5a"),
            Path::new("/minik/5a")
        );
        let cgroup_parent_asked = "/kubepods/podx".to_owned();
        config.linux = Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent_asked,
            ..Default::default()
        });
        assert_eq!(
            cgroup_parent(&config, Path::new("/minik"), "5a"),
            Path::new("/kubepods/podx")
        );
    }
}
