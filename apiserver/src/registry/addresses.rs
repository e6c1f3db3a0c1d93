//! Addresses and node ports of services: each is given once, out of a range.
//!
//! What is taken is what the services have, and what those have been given that are on their way into the store: admission still
//! has to agree, and may take its time. So two are never given the same, and nobody waits for another's webhooks.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Map, Value, json};

use crate::storage::{Key, Stored};

const NODE_PORTS: RangeInclusive<u64> = 30000..=32767;

/// The addresses that services get: `10.96.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    network: Ipv4Addr,
    prefix: u8,
}

/// The text is no range for services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv4 range with 8 to 2^20 addresses, like 10.96.0.0/16")]
pub struct InvalidRange;

impl FromStr for ServiceRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidRange)?;
        let address: Ipv4Addr = address.parse().map_err(|_| InvalidRange)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidRange)?;
        if !(12..=29).contains(&prefix) {
            return Err(InvalidRange);
        }
        let network = Ipv4Addr::from_bits(address.to_bits() >> (32 - prefix) << (32 - prefix));
        Ok(Self { network, prefix })
    }
}

impl std::fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl ServiceRange {
    /// The first address: that of the API server's own service.
    pub(crate) fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + 1)
    }

    /// All that can be given: neither the network's own nor the last one.
    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let count = 1u32 << (32 - self.prefix);
        let network = self.network.to_bits();
        (1..count - 1).map(move |offset| Ipv4Addr::from_bits(network + offset))
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() >> (32 - self.prefix) == self.network.to_bits() >> (32 - self.prefix)
    }
}

/// Gives addresses and ports.
pub(super) struct Addresses {
    range: ServiceRange,
    /// Services that have been given something and aren't stored yet.
    reserved: Mutex<Vec<Arc<(Key, Object)>>>,
}

/// What a service has been given stays its own until this is dropped, when it is stored or given up.
pub(super) struct Reservation<'a> {
    addresses: &'a Addresses,
    own: Arc<(Key, Object)>,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut reserved = self.addresses.reserved();
        reserved.retain(|one| !Arc::ptr_eq(one, &self.own));
    }
}

impl Addresses {
    pub(super) fn new(range: ServiceRange) -> Self {
        let reserved = Mutex::default();
        Self { range, reserved }
    }

    pub(super) fn range(&self) -> ServiceRange {
        self.range
    }

    /// A panic leaves nothing half done here.
    fn reserved(&self) -> std::sync::MutexGuard<'_, Vec<Arc<(Key, Object)>>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in what the service hasn't got yet; `stored` says what all have, and is asked when nobody else is being served.
    pub(super) fn assign(
        &self,
        key: &Key,
        service: &mut Object,
        stored: impl FnOnce() -> Vec<Arc<Stored>>,
    ) -> (Vec<Error>, Reservation<'_>) {
        let mut reserved = self.reserved();
        let stored = stored().into_iter().filter(|stored| stored.key != *key);
        let mut others: Vec<Object> = stored.map(|stored| stored.object()).collect();
        others.extend(reserved.iter().filter(|one| one.0 != *key).map(|one| one.1.clone()));
        let errors = self.fill(service, &others);
        let own = Arc::new((key.clone(), service.clone()));
        reserved.push(own.clone());
        let addresses = self;
        (errors, Reservation { addresses, own })
    }

    fn fill(&self, service: &mut Object, others: &[Object]) -> Vec<Error> {
        let Some(spec) = service.body.get_mut("spec").and_then(Value::as_object_mut) else {
            return Vec::new();
        };
        let mut errors = Vec::new();
        let kind = spec
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("ClusterIP")
            .to_owned();
        if kind != "ExternalName" {
            let taken = others
                .iter()
                .filter_map(|other| text(other.at("spec.clusterIP"))?.parse().ok())
                .collect();
            errors.extend(assign_address(self.range, spec, &taken));
        }
        let wants_ports = spec.get("allocateLoadBalancerNodePorts") != Some(&json!(false));
        if kind == "NodePort" || (kind == "LoadBalancer" && wants_ports) {
            let ports = others
                .iter()
                .filter_map(|other| other.at("spec.ports")?.as_array())
                .flatten();
            errors.extend(assign_ports(spec, ports.filter_map(node_port).collect()));
        }
        errors
    }
}

fn assign_address(range: ServiceRange, spec: &mut Map<String, Value>, taken: &HashSet<Ipv4Addr>) -> Option<Error> {
    let path = Path::new("spec").child("clusterIPs");
    let asked = text(spec.get("clusterIP")).map(str::to_owned);
    let address = match asked.as_deref() {
        Some("None") => "None".to_owned(),
        // What isn't IPv4 is judged by the rules of the kind.
        Some(asked) => {
            let address: Ipv4Addr = asked.parse().ok()?;
            let refused = if !range.contains(address) {
                format!("the provided IP ({asked}) is not in the valid range. The range of valid IPs is {range}")
            } else if taken.contains(&address) {
                format!("failed to allocate IP {asked}: provided IP is already allocated")
            } else {
                String::new()
            };
            if !refused.is_empty() {
                return Some(Error::invalid(&path, vec![asked.to_owned()], refused));
            }
            asked.to_owned()
        }
        None => match range
            .addresses()
            .find(|address| *address != range.first() && !taken.contains(address))
        {
            Some(address) => address.to_string(),
            None => return Some(Error::forbidden(&path, format!("no address is left in {range}"))),
        },
    };
    spec.insert("clusterIP".into(), address.as_str().into());
    spec.entry("clusterIPs").or_insert_with(|| json!([address]));
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
    None
}

fn assign_ports(spec: &mut Map<String, Value>, mut taken: HashSet<u64>) -> Vec<Error> {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("ports");
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    let mut ports: Vec<&mut Value> = ports.into_iter().flatten().collect();
    // What is asked for goes before what is chosen.
    for (index, port) in ports.iter().enumerate() {
        let Some(number) = node_port(port) else { continue };
        let refused = if !NODE_PORTS.contains(&number) {
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        } else if !taken.insert(number) {
            "provided port is already allocated"
        } else {
            continue;
        };
        errors.push(Error::invalid(&path.index(index).child("nodePort"), number, refused));
    }
    for (index, port) in ports.iter_mut().enumerate() {
        if node_port(port).is_some() {
            continue;
        }
        match NODE_PORTS.clone().find(|number| !taken.contains(number)) {
            Some(number) => {
                taken.insert(number);
                port["nodePort"] = number.into();
            }
            None => errors.push(Error::forbidden(
                &path.index(index).child("nodePort"),
                "no node port is left",
            )),
        }
    }
    errors
}

fn node_port(port: &Value) -> Option<u64> {
    port.get("nodePort")
        .and_then(Value::as_u64)
        .filter(|&number| number > 0)
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(spec: Value, others: &[Value]) -> Result<Value, Vec<String>> {
        let addresses = Addresses::new("10.96.0.7/28".parse().expect("a range"));
        let object = |spec: &Value| -> Object { serde_json::from_value(json!({"spec": spec})).expect("a service") };
        let key = |n: usize| crate::storage::Key::new("services", "default", &n.to_string());
        let others = others
            .iter()
            .enumerate()
            .map(|(n, spec)| Arc::new(Stored::unsaved(key(n), &object(spec))));
        let mut service = object(&spec);
        let (errors, _reservation) = addresses.assign(&key(99), &mut service, || others.collect());
        if errors.is_empty() {
            Ok(service.body["spec"].clone())
        } else {
            Err(errors.iter().map(ToString::to_string).collect())
        }
    }

    #[test]
    fn the_lowest_free_address_is_given() {
        let spec = assigned(json!({}), &[]).expect("the range is empty");
        let full = json!({"clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack"});
        assert_eq!(spec, full);
        let next = assigned(json!({}), &[full]).expect("one is taken");
        assert_eq!(next["clusterIP"], "10.96.0.3");
    }

    #[test]
    fn an_address_is_given_once() {
        let taken = json!({"clusterIP": "10.96.0.5"});
        let refused = assigned(taken.clone(), &[taken]).expect_err("taken");
        let message = "spec.clusterIPs: Invalid value: [\"10.96.0.5\"]: failed to allocate IP 10.96.0.5: provided IP is already allocated";
        assert_eq!(refused, [message]);
        assert!(
            assigned(json!({"clusterIP": "10.97.0.5"}), &[]).is_err(),
            "out of range"
        );
        let all: Vec<Value> = (1..15).map(|n| json!({"clusterIP": format!("10.96.0.{n}")})).collect();
        assert!(assigned(json!({}), &all).is_err(), "nothing is left");
    }

    #[test]
    fn what_is_given_is_taken_until_it_is_given_up() {
        let addresses = Addresses::new("10.96.0.7/28".parse().expect("a range"));
        let key = |name: &str| Key::new("services", "default", name);
        let assign = |name: &str| {
            let mut service: Object = serde_json::from_value(json!({"spec": {}})).expect("a service");
            let (errors, reservation) = addresses.assign(&key(name), &mut service, Vec::new);
            assert!(errors.is_empty());
            (
                text(service.at("spec.clusterIP")).expect("an address").to_owned(),
                reservation,
            )
        };
        let (first, one) = assign("a");
        let (second, _two) = assign("b");
        assert_eq!((first.as_str(), second.as_str()), ("10.96.0.2", "10.96.0.3"));
        assert_eq!(assign("a").0, "10.96.0.2", "its own");
        drop(one);
        assert_eq!(assign("c").0, "10.96.0.2");
    }

    #[test]
    fn headless_and_external_services_have_no_address() {
        assert_eq!(
            assigned(json!({"clusterIP": "None"}), &[]).expect("headless")["clusterIPs"],
            json!(["None"])
        );
        let external = json!({"type": "ExternalName", "externalName": "x"});
        assert_eq!(assigned(external.clone(), &[]), Ok(external));
    }

    #[test]
    fn node_ports_are_given_around_those_asked_for() {
        let spec = json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81, "nodePort": 30000}]});
        let ports = assigned(spec.clone(), &[]).expect("free")["ports"].clone();
        assert_eq!(ports[0]["nodePort"], 30001);
        let refused = assigned(spec.clone(), &[spec]).expect_err("30000 is taken");
        assert_eq!(
            refused,
            ["spec.ports[1].nodePort: Invalid value: 30000: provided port is already allocated"]
        );
    }
}
