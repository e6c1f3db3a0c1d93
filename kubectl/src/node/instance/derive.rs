//! From an instance's name to everything that tells it from its neighbours: pure.
//!
//! The default instance has slot 0 and the ranges and ports that Kubernetes users know. Each other name hashes to a slot,
//! and a slot to a /24 for pods and one for services below 10.160.0.0/11, which neither Docker (172.17.0.0/16 and up),
//! WSL2's NAT (172.16.0.0/12) nor home routers (192.168.0.0/16) give out.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Cidr, DEFAULT_NAME, Instance, InstanceError};

/// Names become parts of socket paths (107 bytes in all), cgroups and contexts.
pub(super) const NAME_LENGTH_MAX: usize = 32;

/// A UNIX socket's address holds 107 bytes; `/sandboxes/<32 hex digits>/shim.sock` below the run directory takes 60 of them.
pub(super) const RUN_DIR_LENGTH_MAX: usize = 47;

/// Slot 0 is the default instance's, the others are hashed into 1..4096.
const SLOTS: u16 = 4096;

/// Ports tried for the API server and the kubelet, as distances from the instance's own: the first is what users know, the
/// next ones keep its look. All stay below 28000, clear of node ports (30000-32767) and ephemeral ports (32768 and up).
pub(in crate::node) const PORT_DISTANCES: [u16; 6] = [0, 10_000, 20_000, 1_000, 11_000, 2_000];

/// A DNS label (RFC 1123) that leaves room for what is built from it.
pub(super) fn checked_name(name: &str) -> Result<&str, InstanceError> {
    let error = |reason| {
        Err(InstanceError::Name {
            name: name.to_owned(),
            reason,
        })
    };
    if name.is_empty() || name.len() > NAME_LENGTH_MAX {
        return error("it has to have 1 to 32 characters");
    }
    if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return error("only lower case letters, digits and '-' are allowed");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return error("it has to start and end with a letter or digit");
    }
    Ok(name)
}

/// The slot of `name`: its hash, or the next that no other instance of this machine has.
pub(super) fn slot(name: &str, taken: &BTreeSet<u16>) -> u16 {
    if name == DEFAULT_NAME {
        return 0;
    }
    let hash = Sha256::digest(name);
    let first = u16::from_be_bytes([hash[0], hash[1]]) % (SLOTS - 1);
    (0..SLOTS - 1)
        .map(|distance| (first + distance) % (SLOTS - 1) + 1)
        .find(|slot| !taken.contains(slot))
        .unwrap_or(first + 1)
}

/// The instance as it is when nothing is set by hand.
pub(super) fn instance(name: &str, slot: u16, node_name: &str) -> Instance {
    let (pod_cidr, service_cidr) = ranges(slot);
    let (api_port, kubelet_port) = ports(slot);
    Instance {
        name: name.to_owned(),
        slot,
        context: match name {
            DEFAULT_NAME => "minik".to_owned(),
            _ => format!("minik-{name}"),
        },
        data_dir: Path::new("/var/lib/minik").join(name),
        run_dir: Path::new("/run/minik").join(name),
        kubeconfig: None,
        api_port,
        api_port_fixed: false,
        kubelet_port,
        pod_cidr,
        service_cidr,
        interface_prefix: format!("mk{slot:03x}"),
        cgroup_parent: format!("/minik-{name}"),
        registry_mirrors: Vec::new(),
        docker_config: None,
        oci_runtime: None,
        runtime_handlers: Vec::new(),
        runtime_endpoint: None,
        node_name: node_name.to_owned(),
    }
}

fn ranges(slot: u16) -> (Cidr, Cidr) {
    if slot == 0 {
        return (
            Cidr::new(Ipv4Addr::new(10, 244, 0, 0), 16),
            Cidr::new(Ipv4Addr::new(10, 96, 0, 0), 16),
        );
    }
    let [high, low] = slot.to_be_bytes();
    (
        Cidr::new(Ipv4Addr::new(10, 160 + high, low, 0), 24),
        Cidr::new(Ipv4Addr::new(10, 176 + high, low, 0), 24),
    )
}

fn ports(slot: u16) -> (u16, u16) {
    match slot {
        0 => (6443, 10_250),
        _ => (6500 + slot % 900, 10_300 + slot % 700),
    }
}

/// The ports tried in the place of `wanted`, itself first.
pub(in crate::node) fn port_candidates(wanted: u16) -> impl Iterator<Item = u16> {
    PORT_DISTANCES
        .into_iter()
        .filter_map(move |distance| wanted.checked_add(distance))
}
