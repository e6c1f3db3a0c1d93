//! Version, Status, RuntimeConfig: what this runtime is, and whether it can do its work.

use minik_api::cri;
use serde_json::json;

use super::describe;
use crate::daemon::Daemon;
use crate::images::error::chain;

const NAME: &str = "minik";
/// Version of the CRI's protocol.
const API_VERSION: &str = "v1";

pub(super) fn version() -> cri::VersionResponse {
    cri::VersionResponse {
        // The kubelet's own constant, which it compares.
        version: "0.1.0".to_owned(),
        runtime_name: NAME.to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime_api_version: API_VERSION.to_owned(),
    }
}

/// The network is ready without NAT, too: pods run and reach each other. The message says what they don't reach.
pub(super) fn status(daemon: &Daemon, request: &cri::StatusRequest) -> cri::StatusResponse {
    let notes = daemon.cgroups.notes().join("; ");
    let degraded = daemon.network.masquerade().err();
    let conditions = vec![
        condition("RuntimeReady", if notes.is_empty() { "" } else { "Degraded" }, notes),
        condition(
            "NetworkReady",
            degraded.map(|_| "NoMasquerade").unwrap_or_default(),
            degraded.map(|error| chain(error)).unwrap_or_default(),
        ),
    ];
    let info = json!({
        "instance": daemon.config.instance,
        "root": daemon.config.root,
        "state": daemon.config.state,
        "podCIDR": daemon.config.pod_cidr,
        "serviceCIDR": daemon.config.service_cidr,
        "cgroupVersion": daemon.cgroups.version(),
        "noUserNamespaces": daemon.host.no_user_namespaces,
    });
    cri::StatusResponse {
        status: Some(cri::RuntimeStatus { conditions }),
        info: describe::info(request.verbose, info),
        runtime_handlers: daemon
            .handlers
            .names()
            .into_iter()
            .map(|name| handler(daemon, name))
            .collect(),
        features: Some(cri::RuntimeFeatures {
            supplemental_groups_policy: true,
            user_namespaces_host_network: daemon.host.no_user_namespaces.is_none(),
            mount_options: true,
        }),
    }
}

fn handler(daemon: &Daemon, name: &str) -> cri::RuntimeHandler {
    let own = daemon.handlers.is_own(name);
    let features = cri::RuntimeHandlerFeatures {
        recursive_read_only_mounts: true,
        // Older OCI runtimes can't translate owners of mounts.
        user_namespaces: own && daemon.host.no_user_namespaces.is_none(),
    };
    cri::RuntimeHandler {
        name: name.to_owned(),
        features: Some(features),
    }
}

fn condition(kind: &str, reason: &str, message: String) -> cri::RuntimeCondition {
    cri::RuntimeCondition {
        r#type: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message,
    }
}

pub(super) fn runtime_config() -> cri::RuntimeConfigResponse {
    let linux = cri::LinuxRuntimeConfiguration {
        cgroup_driver: cri::CgroupDriver::Cgroupfs.into(),
    };
    cri::RuntimeConfigResponse { linux: Some(linux) }
}
