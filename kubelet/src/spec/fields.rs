//! Fields of the pod and its containers as text: for environment variables and downward volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use minik_api::quantity::Quantity;

use super::Node;
use super::qos::{limit, request};
use crate::pod::Pod;

/// A `fieldRef` or `resourceFieldRef` that names nothing. The API server refuses these; another one might not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownField {
    /// Not a path that Kubernetes knows.
    #[error("fieldPath {0:?} is not supported")]
    Field(String),
    /// Not a resource that Kubernetes knows here.
    #[error("resource {0:?} is not supported in a resourceFieldRef")]
    Resource(String),
    /// The other container is not there.
    #[error("resourceFieldRef names container {0:?}, which the pod doesn't have")]
    Container(String),
}

/// A field by its path. `ips` are the pod's addresses, known once its sandbox runs.
pub(crate) fn field(pod: &Pod, path: &str, ips: &[String], node: &Node) -> Result<String, UnknownField> {
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => pod.metadata.labels.as_ref(),
            "metadata.annotations" => pod.metadata.annotations.as_ref(),
            _ => return Err(UnknownField::Field(path.into())),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => pod.name.clone(),
        "metadata.namespace" => pod.namespace.clone(),
        "metadata.uid" => pod.uid.clone(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => node.name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => node.ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => node.ips.join(","),
        "status.podIP" => ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => ips.join(","),
        _ => return Err(UnknownField::Field(path.into())),
    })
}

/// `map['key']`
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, key))
}

/// `key="value"` a line, as in Kubernetes' downward volumes.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    lines.join("\n")
}

/// A request or limit as a whole number of its divisor, rounded up. Without a limit it is what the machine has.
pub(crate) fn resource(
    pod: &Pod,
    own: &Container,
    wanted: &ResourceFieldSelector,
    node: &Node,
) -> Result<String, UnknownField> {
    let container = match wanted.container_name.as_deref() {
        None | Some("") => own,
        Some(name) => pod
            .container(name)
            .ok_or_else(|| UnknownField::Container(name.into()))?,
    };
    let unknown = || UnknownField::Resource(wanted.resource.clone());
    let (kind, name) = wanted.resource.split_once('.').ok_or_else(unknown)?;
    let machine = match name {
        "cpu" => Quantity::from_milli(node.milli_cpus),
        "memory" => Quantity::from_bytes(node.memory_bytes),
        "ephemeral-storage" => Quantity::from_whole(0),
        _ => return Err(unknown()),
    };
    let amount = match kind {
        "limits" => limit(container, name).unwrap_or(machine),
        "requests" => request(container, name)
            .or(limit(container, name))
            .unwrap_or(Quantity::from_whole(0)),
        _ => return Err(unknown()),
    };
    let divisor = wanted.divisor.as_ref().and_then(|text| text.0.parse::<Quantity>().ok());
    let divisor = divisor
        .filter(|divisor| !divisor.is_zero())
        .unwrap_or(Quantity::from_whole(1));
    // In thousandths, which is as fine as divisors go.
    let (amount, divisor) = (
        i128::from(amount.milli_value()),
        i128::from(divisor.milli_value().max(1)),
    );
    Ok(((amount + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing;

    fn node() -> Node {
        Node {
            name: "n1".into(),
            ips: vec!["10.0.0.9".into()],
            memory_bytes: 1 << 30,
            milli_cpus: 2000,
            ..Default::default()
        }
    }

    #[test]
    fn fields_are_found() {
        let pod = testing::with(json!({
            "metadata": {"labels": {"app": "web", "tier": "a\"b"}, "annotations": {"x/y": "z"}},
            "spec": {"containers": [], "serviceAccountName": "robot"}}));
        for (path, value) in [
            ("metadata.name", "web"),
            ("metadata.labels['app']", "web"),
            ("metadata.annotations['x/y']", "z"),
            ("metadata.annotations['none']", ""),
            ("metadata.labels", "app=\"web\"\ntier=\"a\\\"b\""),
            ("spec.nodeName", "n1"),
            ("status.hostIP", "10.0.0.9"),
            ("status.podIP", "10.1.0.2"),
        ] {
            assert_eq!(
                field(&pod, path, &["10.1.0.2".into()], &node()).as_deref(),
                Ok(value),
                "{path}"
            );
        }
        assert!(field(&pod, "spec.containers", &[], &node()).is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let pod = testing::pod(json!({"containers": [
            {"name": "a", "resources": {"limits": {"cpu": "1500m", "memory": "65Mi"}}}, {"name": "b"}]}));
        for (container, resource_name, divisor, value) in [
            (0, "limits.cpu", "1", "2"),
            (0, "limits.cpu", "1m", "1500"),
            (0, "limits.memory", "1Mi", "65"),
            (0, "requests.cpu", "1m", "1500"),
            (1, "limits.cpu", "1", "2"),
            (1, "limits.memory", "1Gi", "1"),
        ] {
            let wanted: ResourceFieldSelector =
                serde_json::from_value(json!({"resource": resource_name, "divisor": divisor})).expect("a selector");
            let found = resource(&pod, &pod.containers()[container], &wanted, &node());
            assert_eq!(found.as_deref(), Ok(value), "{resource_name}/{divisor}");
        }
    }
}
