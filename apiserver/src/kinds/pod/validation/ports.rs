//! The ports that containers name, and those that they want on the node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use minik_api::field::{Error, Path};

use super::checks;

pub(super) fn check(container: &Container, path: &Path, errors: &mut Vec<Error>) {
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let path = path.index(index);
        if let Some(name) = &port.name {
            let broken = checks::port_name(name);
            if broken.is_empty() && !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name.as_str()));
            }
            errors.extend(
                broken
                    .into_iter()
                    .map(|rule| Error::invalid(&path.child("name"), name.as_str(), rule)),
            );
        }
        if port.container_port == 0 {
            errors.push(Error::required(&path.child("containerPort"), ""));
        } else {
            checks::port_number(port.container_port, &path.child("containerPort"), errors);
        }
        if let Some(number) = port.host_port {
            checks::port_number(number, &path.child("hostPort"), errors);
        }
        checks::one_of(
            port.protocol.as_deref(),
            checks::PROTOCOLS,
            &path.child("protocol"),
            errors,
        );
    }
}

/// The node has each port once.
pub(super) fn unique_host_ports(containers: &[Container], path: &Path, errors: &mut Vec<Error>) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|&number| number != 0) else {
                continue;
            };
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let place = format!("{protocol}/{}/{number}", port.host_ip.as_deref().unwrap_or_default());
            if !taken.insert(place.clone()) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(Error::duplicate(&path, place));
            }
        }
    }
}

/// In the node's own network nothing translates ports.
pub(super) fn host_network(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if spec.host_network != Some(true) {
        return;
    }
    for (index, container) in spec.containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().flatten().enumerate() {
            let number = port.host_port.unwrap_or(0);
            if number != port.container_port {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&path, number, detail));
            }
        }
    }
}
