//! Where a proxied request goes: a pod's address, that of a pod behind a service, a node's, or its kubelet.

use std::net::{IpAddr, SocketAddr};

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::asked::Asked;
use super::unavailable;
use crate::http::Call;
use crate::registry::{Registry, Target};
use crate::services;
use crate::subresources::kubelet::{self, Location};

/// Where it goes.
pub(super) enum Place {
    /// To a kubelet, with this server's own credentials.
    Kubelet(Location),
    /// To whoever listens there.
    Address(Address),
}

/// Who listens where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Speaks TLS; with any certificate, since nobody signs those of pods.
    pub(super) https: bool,
    /// Where.
    pub(super) at: SocketAddr,
}

impl Place {
    /// Its host and port, as they stand in URLs.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Kubelet(kubelet) => SocketAddr::new(kubelet.address, kubelet.port).to_string(),
            Self::Address(address) => address.at.to_string(),
        }
    }
}

/// Finds it.
pub(super) fn find(registry: &Registry, call: &Call, asked: &Asked<'_>) -> Result<Place, Status> {
    let target = Target {
        name: asked.name,
        ..call.target()
    };
    let object = registry.get(target)?.object();
    let at = match call.path.kind.kind {
        "Pod" => of_pod(&object, asked.port)?,
        "Service" => {
            let endpoints = services::endpoints(registry.store(), &object);
            services::of_service(&object, asked.port, &endpoints, &mut rand::rng()).map_err(unavailable)?
        }
        _ => {
            let kubelet = kubelet::of_node(&object)?;
            if asked.port.is_empty() || asked.port == kubelet.port.to_string() {
                return Ok(Place::Kubelet(kubelet));
            }
            SocketAddr::new(kubelet.address, number(asked.port)?)
        }
    };
    let https = asked.https;
    reachable(at.ip()).map(|()| Place::Address(Address { https, at }))
}

/// What can be reached only from this machine isn't anybody's business, whatever an object says its address is.
fn reachable(ip: IpAddr) -> Result<(), Status> {
    let own = match ip {
        IpAddr::V4(ip) => {
            ip.is_unspecified() || ip.is_loopback() || ip.is_link_local() || ip.octets()[..3] == [224, 0, 0]
        }
        IpAddr::V6(ip) => {
            let local_multicast = matches!(ip.segments()[0], 0xff01 | 0xff02);
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| reachable(ip.into()).is_err());
            ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || local_multicast || mapped
        }
    };
    if own {
        return Err(Status::bad_request("address not allowed"));
    }
    Ok(())
}

fn number(port: &str) -> Result<u16, Status> {
    let number = port.parse().ok().filter(|number| *number != 0);
    number.ok_or_else(|| Status::bad_request(format!("invalid port {port:?}")))
}

/// The port that is asked for, else the first that a container names, else HTTP's.
fn of_pod(pod: &Object, port: &str) -> Result<SocketAddr, Status> {
    let ip = pod.at("status.podIP").and_then(Value::as_str).unwrap_or_default();
    let ip: IpAddr = ip
        .parse()
        .map_err(|_| Status::bad_request(format!("pod {} has no address yet", pod.name())))?;
    if !port.is_empty() {
        return Ok(SocketAddr::new(ip, number(port)?));
    }
    let containers = pod
        .at("spec.containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let first = containers
        .filter_map(|container| container["ports"][0]["containerPort"].as_u64())
        .find_map(|port| u16::try_from(port).ok());
    Ok(SocketAddr::new(ip, first.unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_pods_first_port_is_its_own() {
        let pod = object(json!({"metadata": {"name": "p"}, "status": {"podIP": "10.0.0.7"},
            "spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 8080}]}]}}));
        let told = |port: &str| {
            of_pod(&pod, port)
                .map(|at| at.to_string())
                .map_err(|status| status.message)
        };
        assert_eq!(told("").as_deref(), Ok("10.0.0.7:8080"));
        assert_eq!(told("81").as_deref(), Ok("10.0.0.7:81"));
        assert_eq!(told("web").expect_err("no number"), "invalid port \"web\"");
        let new = object(json!({"metadata": {"name": "p"}}));
        assert_eq!(
            of_pod(&new, "").expect_err("not there").message,
            "pod p has no address yet"
        );
    }

    #[test]
    fn this_machine_alone_is_nobodys_business() {
        for ip in [
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "0.0.0.0",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(reachable(ip.parse().expect("an address")).is_err(), "{ip}");
        }
        for ip in ["10.0.0.1", "fd00::1", "192.168.1.1"] {
            assert!(reachable(ip.parse().expect("an address")).is_ok(), "{ip}");
        }
    }
}
