//! Nodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeSpec, NodeStatus, Taint};
use minik_api::field::{Error, Path, Problem};
use minik_api::names::{label_value, qualified};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::checks::{self, ResourceList, quantity, section};
use super::pod::validation::TAINT_EFFECTS;
use super::{AGE, Column, NAME, Rules, age, fill, text_at};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE: &str = "kubernetes.io/role";
const POD_CIDR: &str = "node updates may not change podCIDR except from \"\" to valid";

pub(super) struct Nodes;

impl Rules for Nodes {
    /// The kubelet brings its status along when it registers.
    fn prepare_create(&self, _object: &mut Object) {}

    fn defaults(&self, object: &mut Object) {
        if let Some(status) = fill::object(&mut object.body, "status")
            && let Some(capacity) = status.get("capacity").cloned()
        {
            fill::absent(status, "allocatable", capacity);
        }
        if let Some(spec) = fill::object(&mut object.body, "spec") {
            // The two say the same; the older one is the first of the newer.
            match (
                spec.get("podCIDR").cloned(),
                spec.get("podCIDRs").and_then(|all| all.get(0)).cloned(),
            ) {
                (Some(one), None) => fill::absent(spec, "podCIDRs", json!([one])),
                (None, Some(first)) => fill::absent(spec, "podCIDR", first),
                _ => {}
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        checked(object, |spec, status, errors| {
            taints(spec.taints.as_deref().unwrap_or_default(), errors);
            resources(status, errors);
            pod_cidrs(spec, errors);
        })
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        checked(new, |spec, status, errors| {
            resources(status, errors);
            addresses(status, errors);
            let old: NodeSpec = section(old, "spec").unwrap_or_default();
            let path = Path::new("spec");
            if old.pod_cidrs.is_some() && old.pod_cidrs != spec.pod_cidrs {
                errors.push(Error::forbidden(&path.child("podCIDRs"), POD_CIDR));
            }
            if old.provider_id.is_some() && old.provider_id != spec.provider_id {
                let detail = "node updates may not change providerID except from \"\" to valid";
                errors.push(Error::forbidden(&path.child("providerID"), detail));
            }
            pod_cidrs(spec, errors);
            taints(spec.taints.as_deref().unwrap_or_default(), errors);
        })
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        checked(new, |_, status, errors| {
            resources(status, errors);
            addresses(status, errors);
        })
    }

    fn fields(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match text_at(object, path) {
            text if text.is_empty() => "false".to_owned(),
            text => text,
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let status: NodeStatus = section(object, "status").unwrap_or_default();
        let info = status.node_info.clone().unwrap_or_default();
        let known = |text: String| if text.is_empty() { "<unknown>".to_owned() } else { text };
        vec![
            object.name().into(),
            readiness(object, &status).into(),
            roles(object).into(),
            age(object, now).into(),
            info.kubelet_version.into(),
            address(&status, "InternalIP").into(),
            address(&status, "ExternalIP").into(),
            known(info.os_image).into(),
            known(info.kernel_version).into(),
            known(info.container_runtime_version).into(),
        ]
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Status", "The status of the node"),
    Column::text("Roles", "The roles of the node"),
    AGE,
    Column::text("Version", "The version of the node's kubelet."),
    Column::text("Internal-IP", "The node's address inside the cluster.").wide(),
    Column::text("External-IP", "The node's address outside of the cluster.").wide(),
    Column::text("OS-Image", "The distribution that the node runs.").wide(),
    Column::text("Kernel-Version", "The kernel that the node runs.").wide(),
    Column::text(
        "Container-Runtime",
        "The container runtime that the node's kubelet uses.",
    )
    .wide(),
];

fn checked(object: &Object, check: impl FnOnce(&NodeSpec, &NodeStatus, &mut Vec<Error>)) -> Vec<Error> {
    let mut errors = Vec::new();
    match (section(object, "spec"), section(object, "status")) {
        (Ok(spec), Ok(status)) => check(&spec, &status, &mut errors),
        (spec, status) => errors.extend([spec.err(), status.err()].into_iter().flatten()),
    }
    errors
}

/// Upstream tells taints below `metadata`.
fn taints(taints: &[Taint], errors: &mut Vec<Error>) {
    let path = Path::new("metadata").child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        checks::name(qualified, &taint.key, &path.child("key"), errors);
        let value = taint.value.as_deref().unwrap_or_default();
        let broken = label_value(value);
        if !broken.is_empty() {
            errors.push(Error::invalid(&path.child("value"), value, broken.join(";")));
        }
        checks::one_of(Some(&taint.effect), TAINT_EFFECTS, &path.child("effect"), errors);
        if !seen.insert((&taint.effect, &taint.key)) {
            let shown = serde_json::to_value(taint).unwrap_or(Value::Null);
            let detail = "taints must be unique by key and effect pair";
            errors.push(Error::new(&path, Problem::Duplicate(shown), detail));
        }
    }
}

fn resources(status: &NodeStatus, errors: &mut Vec<Error>) {
    let mut list = |field: &str, list: &Option<ResourceList>| {
        for (resource, amount) in list.iter().flatten() {
            let path = Path::new("status").child(field).child(resource);
            checks::amount(resource, quantity(amount), &path, errors);
        }
    };
    list("capacity", &status.capacity);
    list("allocatable", &status.allocatable);
}

fn addresses(status: &NodeStatus, errors: &mut Vec<Error>) {
    let list = status.addresses.as_deref().unwrap_or_default();
    for (index, address) in list.iter().enumerate() {
        if list[..index].contains(address) {
            let shown = serde_json::to_value(address).unwrap_or(Value::Null);
            errors.push(Error::duplicate(
                &Path::new("status").child("addresses").index(index),
                shown,
            ));
        }
    }
}

fn pod_cidrs(spec: &NodeSpec, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child("podCIDRs");
    let list = spec.pod_cidrs.as_deref().unwrap_or_default();
    for (index, range) in list.iter().enumerate() {
        checks::cidr(range, &path.index(index), errors);
    }
    let v6 = list.iter().filter(|range| range.contains(':')).count();
    if v6 > 1 || list.len() - v6 > 1 {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(&path, list.to_vec(), detail));
    }
}

fn readiness(object: &Object, status: &NodeStatus) -> String {
    let ready = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    let word = match ready.map(|condition| condition.status.as_str()) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    if object.at("spec.unschedulable") == Some(&Value::Bool(true)) {
        format!("{word},SchedulingDisabled")
    } else {
        word.to_owned()
    }
}

fn roles(object: &Object) -> String {
    let labels = object.metadata.labels.iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE => Some(value.as_str()),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() {
        return "<none>".to_owned();
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address(status: &NodeStatus, kind: &str) -> String {
    let found = status.addresses.iter().flatten().find(|address| address.type_ == kind);
    found.map_or_else(|| "<none>".to_owned(), |address| address.address.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};

    fn node() -> Value {
        json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.1.0.0/24"}, "status": {"capacity": {"cpu": "2"}}})
    }

    #[test]
    fn a_node_keeps_the_status_that_it_brings() {
        let mut object = decoded("Node", node());
        Nodes.prepare_create(&mut object);
        assert_eq!(object.at("status.allocatable.cpu"), Some(&json!("2")));
        assert_eq!(object.at("spec.podCIDRs"), Some(&json!(["10.1.0.0/24"])));
    }

    #[test]
    fn nodes_break_rules_in_the_words_of_kubernetes() {
        for (pointer, value, expected) in [
            (
                "/spec/taints",
                json!([{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]),
                vec![
                    "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key and effect pair",
                ],
            ),
            (
                "/spec/taints",
                json!([{"key": "a"}]),
                vec!["metadata.taints[0].effect: Required value"],
            ),
            (
                "/spec/podCIDRs",
                json!(["10.1.0.0/24", "10.2.0.0/24"]),
                vec![
                    "spec.podCIDRs: Invalid value: [\"10.1.0.0/24\",\"10.2.0.0/24\"]: may specify no more than one CIDR for each IP family",
                ],
            ),
            (
                "/status/capacity/cpu",
                json!("-1"),
                vec![
                    "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                    "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                ],
            ),
        ] {
            assert_eq!(created("Node", with(node(), pointer, value)), expected, "{pointer}");
        }
        assert_eq!(
            updated("Node", node(), with(node(), "/spec/podCIDR", json!("10.9.0.0/24"))),
            ["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"]
        );
    }

    #[test]
    fn tables_show_readiness_and_roles() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let object = with(
            node(),
            "/status/conditions",
            json!([{"type": "Ready", "status": "False"}]),
        );
        let object = with(object, "/spec/unschedulable", json!(true));
        let object = with(
            object,
            "/metadata/labels",
            json!({"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}),
        );
        let object = with(
            object,
            "/status/addresses",
            json!([{"type": "InternalIP", "address": "10.0.0.1"}]),
        );
        let cells = Nodes.cells(&decoded("Node", object), now);
        assert_eq!(cells.len(), COLUMNS.len());
        assert_eq!(
            cells[1..3],
            [json!("NotReady,SchedulingDisabled"), json!("control-plane,x")]
        );
        assert_eq!(cells[5..8], [json!("10.0.0.1"), json!("<none>"), json!("<unknown>")]);
    }
}
