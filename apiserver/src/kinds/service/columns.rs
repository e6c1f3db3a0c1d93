//! What `kubectl get services` shows.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec, ServiceStatus};
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, age};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Type", "How the service can be reached."),
    Column::text("Cluster-IP", "The address inside the cluster."),
    Column::text("External-IP", "The addresses outside of the cluster."),
    Column::text("Port(s)", "The ports, with the node's ports behind a colon."),
    AGE,
    Column::text("Selector", "The labels of the pods behind the service.").wide(),
];

pub(super) fn cells(object: &Object, spec: &ServiceSpec, status: &ServiceStatus, now: Timestamp) -> Vec<Value> {
    let address = spec
        .cluster_ips
        .iter()
        .flatten()
        .next()
        .map_or("<none>", String::as_str);
    vec![
        object.name().into(),
        spec.type_.clone().unwrap_or_default().into(),
        address.into(),
        outside(spec, status).into(),
        ports(spec.ports.as_deref().unwrap_or_default()).into(),
        age(object, now).into(),
        selector(spec).into(),
    ]
}

fn outside(spec: &ServiceSpec, status: &ServiceStatus) -> String {
    let external = spec.external_ips.clone().unwrap_or_default();
    let or = |list: Vec<String>, none: &str| {
        if list.is_empty() {
            none.to_owned()
        } else {
            list.join(",")
        }
    };
    match spec.type_.as_deref() {
        Some("ClusterIP" | "NodePort") => or(external, "<none>"),
        Some("LoadBalancer") => {
            let ingress = status
                .load_balancer
                .iter()
                .flat_map(|balancer| balancer.ingress.iter().flatten());
            let addresses: BTreeSet<String> = ingress
                .filter_map(|ingress| ingress.ip.clone().or_else(|| ingress.hostname.clone()))
                .collect();
            or(addresses.into_iter().chain(external).collect(), "<pending>")
        }
        Some("ExternalName") => spec.external_name.clone().unwrap_or_default(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(ports: &[ServicePort]) -> String {
    let shown: Vec<String> = ports
        .iter()
        .map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or_default();
            match port.node_port {
                Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", port.port),
                _ => format!("{}/{protocol}", port.port),
            }
        })
        .collect();
    if shown.is_empty() {
        "<none>".to_owned()
    } else {
        shown.join(",")
    }
}

fn selector(spec: &ServiceSpec) -> String {
    let pairs: Vec<String> = spec
        .selector
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}
