//! Endpoints: the addresses behind a service.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};
use minik_api::field::{Error, Path, Problem};
use minik_api::names::{label, qualified, subdomain};
use minik_api::object::Object;
use serde::Deserialize;
use serde_json::Value;

use super::{AGE, Column, NAME, Rules, age, checks, fill};

const SHOWN: usize = 3;

pub(super) struct EndpointLists;

impl Rules for EndpointLists {
    fn deprecation(&self) -> Option<&str> {
        Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
    }

    fn defaults(&self, object: &mut Object) {
        for subset in fill::items(&mut object.body, "subsets") {
            for port in fill::items(subset, "ports") {
                fill::absent(port, "protocol", "TCP");
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("subsets");
        match subsets(object) {
            Err(error) => vec![Error::new(&path, Problem::TypeInvalid(Value::Null), error.to_string())],
            Ok(subsets) => {
                let mut errors = Vec::new();
                for (index, subset) in subsets.iter().enumerate() {
                    check(subset, &path.index(index), &mut errors);
                }
                errors
            }
        }
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Endpoints", "The addresses and ports."), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let subsets = subsets(object).unwrap_or_default();
        vec![object.name().into(), shown(&subsets).into(), age(object, now).into()]
    }
}

fn subsets(object: &Object) -> Result<Vec<EndpointSubset>, serde_json::Error> {
    object.body.get("subsets").map_or(Ok(Vec::new()), Vec::deserialize)
}

fn check(subset: &EndpointSubset, path: &Path, errors: &mut Vec<Error>) {
    let ready = subset.addresses.as_deref().unwrap_or_default();
    let not_ready = subset.not_ready_addresses.as_deref().unwrap_or_default();
    if ready.is_empty() && not_ready.is_empty() {
        errors.push(Error::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for (field, list) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
        for (index, address) in list.iter().enumerate() {
            check_address(address, &path.child(field).index(index), errors);
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        check_port(port, ports.len() > 1, &path.child("ports").index(index), errors);
    }
}

fn check_address(address: &EndpointAddress, path: &Path, errors: &mut Vec<Error>) {
    let before = errors.len();
    checks::ip(&address.ip, &path.child("ip"), errors);
    if errors.len() == before {
        checks::endpoint_ip(&address.ip, &path.child("ip"), errors);
    }
    if let Some(hostname) = &address.hostname {
        checks::name(label, hostname, &path.child("hostname"), errors);
    }
    if let Some(node) = &address.node_name {
        checks::name(subdomain, node, &path.child("nodeName"), errors);
    }
}

fn check_port(port: &EndpointPort, named: bool, path: &Path, errors: &mut Vec<Error>) {
    match port.name.as_deref().unwrap_or_default() {
        "" if named => errors.push(Error::required(&path.child("name"), "")),
        "" => {}
        name => checks::name(label, name, &path.child("name"), errors),
    }
    checks::port_number(port.port, &path.child("port"), errors);
    checks::one_of(
        port.protocol.as_deref(),
        checks::PROTOCOLS,
        &path.child("protocol"),
        errors,
    );
    if let Some(protocol) = &port.app_protocol {
        checks::name(qualified, protocol, &path.child("appProtocol"), errors);
    }
}

/// The first few, and how many more there are.
fn shown(subsets: &[EndpointSubset]) -> String {
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = subset.addresses.as_deref().unwrap_or_default();
        let ports = subset.ports.as_deref().unwrap_or_default();
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| address.ip.clone()));
        }
        for port in ports {
            all.extend(addresses.iter().map(|address| host_and_port(&address.ip, port.port)));
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    let list = all.join(",");
    if more > 0 {
        format!("{list} + {more} more...")
    } else {
        list
    }
}

fn host_and_port(ip: &str, port: i32) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn endpoints() -> Value {
        json!({
            "metadata": {"name": "e", "namespace": "default"},
            "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443, "name": "b"}]}]
        })
    }

    #[test]
    fn endpoints_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(
            created("Endpoints", endpoints()),
            ["subsets[0].ports[0].name: Required value"]
        );
        let good = with(endpoints(), "/subsets/0/ports/0/name", json!("a"));
        for (pointer, value, expected) in [
            ("/subsets/0/addresses/0/hostname", json!("h"), vec![]),
            (
                "/subsets/0/addresses",
                json!([]),
                vec!["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
            ),
            (
                "/subsets/0/addresses/0/ip",
                json!("127.0.0.1"),
                vec![
                    "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                ],
            ),
            (
                "/subsets/0/addresses/0/ip",
                json!("x"),
                vec![
                    "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                "/subsets/0/ports/0/port",
                json!(0),
                vec!["subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"],
            ),
        ] {
            assert_eq!(
                created("Endpoints", with(good.clone(), pointer, value)),
                expected,
                "{pointer}"
            );
        }
    }

    #[test]
    fn tables_show_the_first_three() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cell = |value: Value| EndpointLists.cells(&decoded("Endpoints", value), now)[1].clone();
        assert_eq!(cell(endpoints()), "10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more...");
        assert_eq!(cell(json!({})), "<none>");
    }
}
