//! The Node's status from what was found out: pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures, NodeRuntimeHandler,
    NodeRuntimeHandlerFeatures, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use minik_api::cri::{RuntimeHandler, StatusResponse};
use minik_api::quantity::Quantity;

use super::facts::{Facts, KUBELET_VERSION, MAX_PODS};
use super::pressure::Pressure;
use crate::cri::CallError;

/// The whole status.
pub(crate) fn status(
    facts: &Facts,
    runtime: &Result<StatusResponse, CallError>,
    pressure: &Pressure,
    now: Timestamp,
) -> NodeStatus {
    let resources = resources(facts);
    NodeStatus {
        addresses: Some(addresses(facts)),
        capacity: Some(resources.clone()),
        allocatable: Some(resources),
        conditions: Some(conditions(runtime, pressure, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint {
                port: i32::from(facts.port),
            }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: facts.architecture.clone(),
            boot_id: facts.boot_id.clone(),
            container_runtime_version: facts.runtime_version.clone(),
            kernel_version: facts.kernel.clone(),
            kubelet_version: KUBELET_VERSION.to_owned(),
            kube_proxy_version: String::new(),
            machine_id: facts.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: facts.os_image.clone(),
            system_uuid: facts.system_uuid.clone(),
            swap: None,
        }),
        runtime_handlers: runtime.as_ref().ok().map(handlers),
        features: runtime.as_ref().ok().map(|runtime| NodeFeatures {
            supplemental_groups_policy: runtime.features.map(|features| features.supplemental_groups_policy),
        }),
        ..Default::default()
    }
}

/// The runtime's handlers, by which pods with special wishes choose their node.
fn handlers(runtime: &StatusResponse) -> Vec<NodeRuntimeHandler> {
    let handler = |handler: &RuntimeHandler| NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: handler.features.map(|features| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
            user_namespaces: Some(features.user_namespaces),
        }),
    };
    runtime.runtime_handlers.iter().map(handler).collect()
}

fn resources(facts: &Facts) -> BTreeMap<String, ApiQuantity> {
    let kilobytes = |bytes: i64| Quantity::from_bytes(bytes / 1024 * 1024);
    [
        ("cpu", Quantity::from_milli(facts.milli_cpus)),
        ("memory", kilobytes(facts.memory_bytes)),
        ("ephemeral-storage", kilobytes(facts.disk_bytes)),
        ("pods", Quantity::from_whole(MAX_PODS)),
    ]
    .map(|(name, quantity)| (name.to_owned(), ApiQuantity(quantity.to_string())))
    .into()
}

fn addresses(facts: &Facts) -> Vec<NodeAddress> {
    let address = |kind: &str, address: &str| NodeAddress {
        type_: kind.to_owned(),
        address: address.to_owned(),
    };
    let mut addresses: Vec<_> = facts.ips.iter().map(|ip| address("InternalIP", ip)).collect();
    addresses.push(address("Hostname", &facts.name));
    addresses
}

fn conditions(runtime: &Result<StatusResponse, CallError>, pressure: &Pressure, now: Timestamp) -> Vec<NodeCondition> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let condition = |kind: &str, holds: Option<bool>, reason: &str, message: String| NodeCondition {
        type_: kind.to_owned(),
        status: match holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
        .to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    let is = |short: Option<bool>| short == Some(true);
    let memory = match is(pressure.memory) {
        true => (
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
        ),
        false => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    };
    let disk = match is(pressure.disk) {
        true => ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        false => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    };
    let pids = match is(pressure.pids) {
        true => ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
        false => ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    };
    let trouble = trouble(runtime);
    let ready = match &trouble {
        None => condition(
            "Ready",
            Some(true),
            "KubeletReady",
            "kubelet is posting ready status".into(),
        ),
        Some(trouble) => condition("Ready", Some(false), "KubeletNotReady", trouble.clone()),
    };
    vec![
        condition("MemoryPressure", pressure.memory, memory.0, memory.1.into()),
        condition("DiskPressure", pressure.disk, disk.0, disk.1.into()),
        condition("PIDPressure", pressure.pids, pids.0, pids.1.into()),
        ready,
    ]
}

/// Why the runtime can't run pods, if it can't.
fn trouble(runtime: &Result<StatusResponse, CallError>) -> Option<String> {
    let status = match runtime {
        Ok(status) => status,
        Err(error) => return Some(format!("container runtime is down: {error}")),
    };
    let conditions = status.status.iter().flat_map(|status| &status.conditions);
    let bad = conditions.filter(|condition| !condition.status);
    let words: Vec<String> = bad
        .map(|bad| format!("{} is not true: {}: {}", bad.r#type, bad.reason, bad.message))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Takes over the times of conditions that haven't changed.
pub(crate) fn keep_transitions(status: &mut NodeStatus, before: &NodeStatus) {
    for condition in status.conditions.iter_mut().flatten() {
        let known = before
            .conditions
            .iter()
            .flatten()
            .find(|known| known.type_ == condition.type_);
        if let Some(known) = known.filter(|known| known.status == condition.status) {
            condition.last_transition_time.clone_from(&known.last_transition_time);
        }
    }
}

/// Nothing but the heartbeats differs.
pub(crate) fn is_same(a: &NodeStatus, b: &NodeStatus) -> bool {
    let without_beats = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    without_beats(a) == without_beats(b)
}

/// The conditions whose status changed, and whether they hold now.
pub(crate) fn changes(before: &NodeStatus, now: &NodeStatus) -> Vec<(String, bool)> {
    let was = |kind: &str| {
        before
            .conditions
            .iter()
            .flatten()
            .find(|known| known.type_ == kind)
            .map(|known| known.status.clone())
    };
    let changed = now
        .conditions
        .iter()
        .flatten()
        .filter(|condition| was(&condition.type_).as_ref() != Some(&condition.status));
    changed
        .map(|condition| (condition.type_.clone(), condition.status == "True"))
        .collect()
}

#[cfg(test)]
mod tests {
    use minik_api::cri::RuntimeCondition;

    use super::*;

    fn facts() -> Facts {
        Facts {
            name: "n1".into(),
            ips: vec!["10.0.0.9".into()],
            port: 10250,
            milli_cpus: 2000,
            memory_bytes: 1 << 30,
            disk_bytes: 5 << 30,
            ..Default::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn ready(status: &NodeStatus) -> &NodeCondition {
        status
            .conditions
            .as_ref()
            .expect("set")
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .expect("always there")
    }

    #[test]
    fn resources_are_written_as_kubernetes_writes_them() {
        let status = status(&facts(), &Ok(StatusResponse::default()), &Pressure::default(), at(1));
        let capacity = status.capacity.expect("set");
        assert_eq!(
            (
                capacity["cpu"].0.as_str(),
                capacity["memory"].0.as_str(),
                capacity["pods"].0.as_str()
            ),
            ("2", "1Gi", "110")
        );
    }

    #[test]
    fn a_node_is_ready_when_its_runtime_is() {
        let network = RuntimeCondition {
            r#type: "NetworkReady".into(),
            status: false,
            reason: "NoVeth".into(),
            message: "the kernel has no veth".into(),
        };
        let no_network = Ok(StatusResponse {
            status: Some(minik_api::cri::RuntimeStatus {
                conditions: vec![network],
            }),
            ..Default::default()
        });
        let down = Err(CallError {
            call: "Status",
            code: tonic::Code::Unavailable,
            message: "no one listens".into(),
        });
        for (runtime, expected, words) in [
            (Ok(StatusResponse::default()), "True", "posting ready"),
            (no_network, "False", "the kernel has no veth"),
            (down, "False", "no one listens"),
        ] {
            let status = status(&facts(), &runtime, &Pressure::default(), at(1));
            assert_eq!(ready(&status).status, expected);
            assert!(
                ready(&status)
                    .message
                    .as_ref()
                    .is_some_and(|message| message.contains(words))
            );
        }
    }

    #[test]
    fn a_transition_is_dated_once() {
        let calm = Pressure {
            memory: Some(false),
            ..Default::default()
        };
        let before = status(&facts(), &Ok(StatusResponse::default()), &calm, at(1));
        let mut same = status(&facts(), &Ok(StatusResponse::default()), &calm, at(9));
        keep_transitions(&mut same, &before);
        assert!(is_same(&same, &before));
        let tight = Pressure {
            memory: Some(true),
            ..calm
        };
        let mut changed = status(&facts(), &Ok(StatusResponse::default()), &tight, at(9));
        keep_transitions(&mut changed, &before);
        assert_eq!(changes(&before, &changed), [("MemoryPressure".to_owned(), true)]);
        assert_eq!(ready(&changed).last_transition_time, Some(Time(at(1))));
    }
}
