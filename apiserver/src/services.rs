//! Where a service is: the addresses of its pods, which this server reaches like everybody on the node. Whoever is called by a
//! service's name (webhooks, APIs of others) is called there, whether anybody serves the cluster's own addresses or not.

use std::net::{IpAddr, SocketAddr};

use minik_api::object::Object;
use minik_api::selector::{Fields, Labels};
use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::kinds::read;
use crate::storage::{Key, Store};

const SERVICES: &str = "services";
const SLICES: &str = "endpointslices.discovery.k8s.io";
const ENDPOINTS: &str = "endpoints";
const PODS: &str = "pods";

/// The ready addresses behind a service, by the name of their port.
#[derive(Debug)]
pub(crate) struct Endpoint {
    port_name: String,
    at: SocketAddr,
}

/// Whom to connect to for a port of a service: a host or an address.
///
/// # Errors
/// What is missing, in upstream's words.
pub(crate) fn resolve(store: &Store, namespace: &str, name: &str, port: u16) -> Result<(String, u16), String> {
    let stored = store.get(&Key::new(SERVICES, namespace, name));
    let service = stored.ok_or_else(|| format!("service {name:?} not found"))?.object();
    if read::text(service.at("spec.type")) == "ExternalName" {
        return Ok((read::text(service.at("spec.externalName")).to_owned(), port));
    }
    let at = of_service(
        &service,
        &port.to_string(),
        &endpoints(store, &service),
        &mut rand::rng(),
    )?;
    Ok((at.ip().to_string(), at.port()))
}

/// One of the endpoints of the port that is asked for, by its name or number.
pub(crate) fn of_service(
    service: &Object,
    port: &str,
    endpoints: &[Endpoint],
    random: &mut impl rand::Rng,
) -> Result<SocketAddr, String> {
    let mut name = port;
    if let Ok(number) = port.parse::<u64>() {
        let ports = read::list(service.at("spec.ports"));
        let found = ports.iter().find(|port| port["port"].as_u64() == Some(number));
        let found = found.ok_or_else(|| format!("no service port {number} found for service {:?}", service.name()))?;
        name = read::text(found.get("name"));
    }
    let fitting: Vec<SocketAddr> = endpoints
        .iter()
        .filter(|endpoint| endpoint.port_name == name)
        .map(|endpoint| endpoint.at)
        .collect();
    fitting
        .choose(random)
        .copied()
        .ok_or_else(|| format!("no endpoints available for service {:?}", service.name()))
}

/// Of its slices, or of the older form, or, where nobody has made either, of the pods that it selects.
pub(crate) fn endpoints(store: &Store, service: &Object) -> Vec<Endpoint> {
    let namespace = service.namespace();
    let labelled = |resource: &str, labels: &Labels| -> Vec<Object> {
        let snapshot = store.snapshot(resource);
        let all = snapshot.objects(resource, namespace, None);
        all.filter(|stored| stored.selected(labels, &Fields::default()))
            .map(|stored| stored.object())
            .collect()
    };
    let labels = Labels::parse(&format!("kubernetes.io/service-name={}", service.name()));
    let slices = labels.map_or(Vec::new(), |labels| labelled(SLICES, &labels));
    let found: Vec<Endpoint> = slices.iter().flat_map(of_slice).collect();
    if !found.is_empty() {
        return found;
    }
    if let Some(endpoints) = store.get(&Key::new(ENDPOINTS, namespace, service.name())) {
        return of_subsets(&endpoints.object());
    }
    let selector = service.at("spec.selector").and_then(Value::as_object);
    let selector = selector.filter(|selector| !selector.is_empty());
    let text = selector.map(|selector| {
        let pairs = selector
            .iter()
            .map(|(key, value)| format!("{key}={}", read::text(Some(value))));
        pairs.collect::<Vec<_>>().join(",")
    });
    let labels = text.and_then(|text| Labels::parse(&text).ok());
    let pods = labels.map_or(Vec::new(), |labels| labelled(PODS, &labels));
    pods.iter().flat_map(|pod| of_selected(service, pod)).collect()
}

fn of_slice(slice: &Object) -> Vec<Endpoint> {
    let list = |field: &str| read::list(slice.body.get(field)).iter();
    let ready = list("endpoints").filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let addresses: Vec<&str> = ready
        .flat_map(|endpoint| read::texts(endpoint.get("addresses")))
        .collect();
    list("ports").flat_map(|port| pairs(port, &addresses)).collect()
}

fn of_subsets(endpoints: &Object) -> Vec<Endpoint> {
    let each = read::list(endpoints.body.get("subsets")).iter().flat_map(|subset| {
        let list = |field: &str| read::list(subset.get(field)).iter();
        let addresses: Vec<&str> = list("addresses").map(|address| read::text(address.get("ip"))).collect();
        list("ports")
            .flat_map(|port| pairs(port, &addresses))
            .collect::<Vec<_>>()
    });
    each.collect()
}

fn pairs(port: &Value, addresses: &[&str]) -> Vec<Endpoint> {
    let Some(number) = port["port"].as_u64().and_then(|number| u16::try_from(number).ok()) else {
        return Vec::new();
    };
    let name = read::text(port.get("name"));
    let addresses = addresses.iter().filter_map(|address| address.parse().ok());
    addresses
        .map(|ip: IpAddr| Endpoint {
            port_name: name.to_owned(),
            at: SocketAddr::new(ip, number),
        })
        .collect()
}

/// Of a pod that is ready and has an address.
fn of_selected(service: &Object, pod: &Object) -> Vec<Endpoint> {
    let conditions = read::list(pod.at("status.conditions"));
    let is_ready = conditions
        .iter()
        .any(|one| one["type"] == "Ready" && one["status"] == "True");
    let address = read::text(pod.at("status.podIP")).parse::<IpAddr>();
    let (true, None, Ok(address)) = (is_ready, &pod.metadata.deletion_timestamp, address) else {
        return Vec::new();
    };
    let ports = read::list(service.at("spec.ports")).iter();
    ports
        .filter_map(|port| {
            let number = match &port["targetPort"] {
                Value::String(name) => of_container(pod, name),
                Value::Number(number) => number.as_u64(),
                _ => port["port"].as_u64(),
            };
            Some(Endpoint {
                port_name: read::text(port.get("name")).to_owned(),
                at: SocketAddr::new(address, u16::try_from(number?).ok()?),
            })
        })
        .collect()
}

/// The number of the port that a container calls so.
fn of_container(pod: &Object, name: &str) -> Option<u64> {
    let containers = read::list(pod.at("spec.containers")).iter();
    let mut ports = containers.flat_map(|container| read::list(container.get("ports")));
    ports.find(|port| port["name"] == name)?["containerPort"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    fn told(service: &Object, port: &str, endpoints: &[Endpoint]) -> Result<String, String> {
        of_service(service, port, endpoints, &mut rand::rng()).map(|at| at.to_string())
    }

    #[test]
    fn services_are_their_endpoints() {
        let service = object(json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 80}]}}));
        let slice = object(json!({"ports": [{"name": "web", "port": 8080}], "endpoints": [
            {"addresses": ["10.0.0.7"]}, {"addresses": ["10.0.0.8"], "conditions": {"ready": false}}]}));
        let older =
            object(json!({"subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 8080, "name": "web"}]}]}));
        let ready = of_slice(&slice);
        assert_eq!(told(&service, "web", &ready).as_deref(), Ok("10.0.0.7:8080"));
        assert_eq!(
            told(&service, "80", &of_subsets(&older)).as_deref(),
            Ok("10.0.0.9:8080")
        );
        assert_eq!(
            told(&service, "81", &ready).expect_err("no such port"),
            "no service port 81 found for service \"s\""
        );
        assert_eq!(
            told(&service, "", &ready).expect_err("all have names"),
            "no endpoints available for service \"s\""
        );
    }

    #[test]
    fn pods_are_endpoints_once_they_are_ready() {
        let service = object(json!({"metadata": {"name": "s"}, "spec": {"ports": [
            {"name": "a", "port": 443, "targetPort": "tls"}, {"name": "b", "port": 80, "targetPort": 8080}, {"name": "c", "port": 81}]}}));
        let pod = |ready: &str| {
            object(
                json!({"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "tls", "containerPort": 8443}]}]},
                "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": ready}]}}),
            )
        };
        let ready = of_selected(&service, &pod("True"));
        for (port, at) in [("443", "10.0.0.7:8443"), ("b", "10.0.0.7:8080"), ("81", "10.0.0.7:81")] {
            assert_eq!(told(&service, port, &ready).as_deref(), Ok(at));
        }
        assert!(of_selected(&service, &pod("False")).is_empty());
    }
}
