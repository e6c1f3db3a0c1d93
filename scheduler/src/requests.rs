//! What a pod asks of a node: CPU, memory, other resources and host ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use minik_api::quantity::Quantity;

/// Amounts by resource name: `cpu` in thousandths of a core, all else in whole units (bytes, devices).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts(pub(crate) BTreeMap<String, i64>);

impl Amounts {
    /// Reads a resource list. What isn't a quantity counts as nothing: validation has refused it already.
    pub(crate) fn read(list: Option<&BTreeMap<String, ApiQuantity>>) -> Self {
        let amount = |name: &str, text: &str| {
            let quantity: Quantity = text.parse().ok()?;
            Some(if name == "cpu" {
                quantity.milli_value()
            } else {
                quantity.value()
            })
        };
        let entries = list.into_iter().flatten();
        Self(
            entries
                .map(|(name, text)| (name.clone(), amount(name, &text.0).unwrap_or(0)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let current = self.0.entry(name.clone()).or_default();
            *current = (*current).max(*amount);
        }
    }
}

/// What a pod asks for: the larger of what all its containers need together and what any of its init containers needs beside
/// the sidecars started before it, plus the overhead (Kubernetes' resource sharing rule within a pod).
pub(crate) fn of(pod: &Pod) -> Amounts {
    let Some(spec) = &pod.spec else {
        return Amounts::default();
    };
    let mut running = Amounts::default();
    for container in &spec.containers {
        running.add(&requests(container));
    }
    let mut sidecars = Amounts::default();
    let mut peak = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let mut need = requests(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&need);
            peak.raise_to(&sidecars);
        } else {
            need.add(&sidecars);
            peak.raise_to(&need);
        }
    }
    running.add(&sidecars);
    running.raise_to(&peak);
    // Requests of the pod as a whole take the place of the sum of its containers'.
    let whole = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    running.0.extend(Amounts::read(whole).0);
    running.add(&Amounts::read(spec.overhead.as_ref()));
    running.0.retain(|_, amount| *amount != 0);
    running
}

fn requests(container: &Container) -> Amounts {
    Amounts::read(
        container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref()),
    )
}

/// A port of the node that a pod wants for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) protocol: String,
    /// `0.0.0.0` stands for all addresses.
    pub(crate) ip: String,
    pub(crate) port: i32,
}

impl HostPort {
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        let any = |ip: &str| ip == "0.0.0.0" || ip == "::";
        let ips = self.ip == other.ip || any(&self.ip) || any(&other.ip);
        self.port == other.port && self.protocol == other.protocol && ips
    }
}

/// The ports of the node that a pod wants, of its containers and sidecars.
pub(crate) fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten());
    let wanted = ports.filter_map(|port| {
        Some(HostPort {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            ip: port
                .host_ip
                .clone()
                .filter(|ip| !ip.is_empty())
                .unwrap_or_else(|| "0.0.0.0".into()),
            port: port.host_port.filter(|port| *port > 0)?,
        })
    });
    wanted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asks(spec: serde_json::Value) -> BTreeMap<String, i64> {
        of(&serde_json::from_value(json!({"spec": spec})).expect("a pod")).0
    }

    fn container(cpu: &str) -> serde_json::Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> serde_json::Value {
        json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_asks_for_its_largest_moment() {
        for (spec, cpu) in [
            (json!({"containers": [container("100m"), container("0.2")]}), 300),
            (
                json!({"containers": [container("100m")], "initContainers": [container("1"), container("2")]}),
                2000,
            ),
            (
                json!({"containers": [container("100m")], "initContainers": [sidecar("50m")]}),
                150,
            ),
            (
                json!({"containers": [container("1")], "initContainers": [sidecar("1"), container("3")]}),
                4000,
            ),
            (
                json!({"containers": [container("1")], "initContainers": [container("3"), sidecar("1")]}),
                3000,
            ),
            (
                json!({"containers": [container("1")], "overhead": {"cpu": "10m"}}),
                1010,
            ),
            (
                json!({"containers": [container("1")], "resources": {"requests": {"cpu": "5"}}}),
                5000,
            ),
        ] {
            assert_eq!(asks(spec.clone()).get("cpu"), Some(&cpu), "{spec}");
        }
        assert_eq!(asks(json!({"containers": [{"name": "c"}]})), BTreeMap::new());
    }

    #[test]
    fn ports_conflict_on_overlapping_addresses() {
        let port = |ip: &str, protocol: &str| HostPort {
            protocol: protocol.into(),
            ip: ip.into(),
            port: 80,
        };
        assert!(port("0.0.0.0", "TCP").conflicts(&port("127.0.0.1", "TCP")));
        assert!(port("127.0.0.1", "TCP").conflicts(&port("127.0.0.1", "TCP")));
        assert!(!port("127.0.0.1", "TCP").conflicts(&port("127.0.0.2", "TCP")));
        assert!(!port("0.0.0.0", "TCP").conflicts(&port("0.0.0.0", "UDP")));
    }
}
