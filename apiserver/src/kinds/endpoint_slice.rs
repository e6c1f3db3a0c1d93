//! Endpoint slices: the addresses behind a service, in pieces (`discovery.k8s.io`). The sentences are those of upstream's
//! `pkg/apis/discovery/validation`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Map, Value};

use super::{AGE, Column, NAME, Rules, age, checks, fill, read};

const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_MAX: usize = 16;
const HINTS_MAX: usize = 8;
/// How many ports and addresses a table shows.
const SHOWN: usize = 3;

pub(super) struct EndpointSlices;

impl Rules for EndpointSlices {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        for port in fill::items(&mut object.body, "ports") {
            fill::absent(port, "name", "");
            fill::absent(port, "protocol", "TCP");
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let kind = read::text(object.body.get("addressType"));
        checks::one_of(Some(kind), ADDRESS_TYPES, &Path::new("addressType"), &mut errors);
        let (endpoints, path) = (read::list(object.body.get("endpoints")), Path::new("endpoints"));
        if endpoints.len() > ENDPOINTS_MAX {
            errors.push(Error::too_many(&path, endpoints.len(), ENDPOINTS_MAX));
        } else {
            for (index, endpoint) in endpoints.iter().enumerate() {
                check_endpoint(endpoint, kind, &path.index(index), &mut errors);
            }
        }
        check_ports(read::list(object.body.get("ports")), &Path::new("ports"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let field = "addressType";
        checks::immutable(new.body.get(field), old.body.get(field), &Path::new(field), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("AddressType", "Of which family the addresses are."),
            Column::text("Ports", "The ports."),
            Column::text("Endpoints", "The addresses."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ports = read::list(object.body.get("ports")).iter();
        let ports = ports.map(|port| match (port.get("port"), read::text(port.get("name"))) {
            (Some(number), _) => number.to_string(),
            (None, "") if port.get("name").is_none() => "*".to_owned(),
            (None, name) => name.to_owned(),
        });
        let endpoints = read::list(object.body.get("endpoints")).iter();
        let addresses = endpoints.flat_map(|endpoint| read::texts(endpoint.get("addresses")));
        vec![
            object.name().into(),
            read::text(object.body.get("addressType")).into(),
            first_few(ports.collect()).into(),
            first_few(addresses.map(str::to_owned).collect()).into(),
            age(object, now).into(),
        ]
    }
}

fn check_endpoint(endpoint: &Value, kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let (addresses, addresses_path) = (read::texts(endpoint.get("addresses")), path.child("addresses"));
    match addresses.len() {
        0 => errors.push(Error::required(&addresses_path, "must contain at least 1 address")),
        count if count > ADDRESSES_MAX => errors.push(Error::too_many(&addresses_path, count, ADDRESSES_MAX)),
        _ => {}
    }
    for (index, address) in addresses.into_iter().enumerate() {
        check_address(address, kind, &addresses_path.index(index), errors);
    }
    if let Some(node) = endpoint.get("nodeName").and_then(Value::as_str) {
        checks::name(names::subdomain, node, &path.child("nodeName"), errors);
    }
    let (topology, topology_path) = (endpoint.get("deprecatedTopology"), path.child("deprecatedTopology"));
    let count = topology.and_then(Value::as_object).map_or(0, Map::len);
    if count > TOPOLOGY_MAX {
        errors.push(Error::too_many(&topology_path, count, TOPOLOGY_MAX));
    }
    for (key, value) in read::pairs(topology) {
        checks::name(names::qualified, key, &topology_path, errors);
        checks::name(names::label_value, value, &topology_path, errors);
    }
    if let Some(hostname) = endpoint.get("hostname").and_then(Value::as_str) {
        checks::name(names::label, hostname, &path.child("hostname"), errors);
    }
    for hints in ["forZones", "forNodes"] {
        let list = read::list(endpoint.get("hints").and_then(|all| all.get(hints)));
        check_hints(list, &path.child("hints").child(hints), errors);
    }
}

fn check_address(address: &str, kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let ip = address.parse::<IpAddr>();
    match (kind, ip) {
        ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => checks::endpoint_ip(address, path, errors),
        ("IPv4", _) => errors.push(Error::invalid(path, address, "must be a valid IPv4 address")),
        ("IPv6", _) => errors.push(Error::invalid(path, address, "must be a valid IPv6 address")),
        ("FQDN", _) => check_domain(address, path, errors),
        _ => {}
    }
}

/// A name that says in which domain it is.
fn check_domain(name: &str, path: &Path, errors: &mut Vec<Error>) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let broken = names::subdomain(name);
    if !broken.is_empty() {
        errors.push(Error::invalid(path, name, broken.join(",")));
    } else if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(Error::invalid(path, name, detail));
    }
}

fn check_hints(hints: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if hints.len() > HINTS_MAX {
        errors.push(Error::too_many(path, hints.len(), HINTS_MAX));
        return;
    }
    let mut known = BTreeSet::new();
    for (index, hint) in hints.iter().enumerate() {
        let (name, path) = (read::text(hint.get("name")), path.index(index).child("name"));
        if !known.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
        checks::name(names::label_value, name, &path, errors);
    }
}

fn check_ports(ports: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if ports.len() > PORTS_MAX {
        errors.push(Error::too_many(path, ports.len(), PORTS_MAX));
        return;
    }
    let mut known = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = read::text(port.get("name"));
        if !name.is_empty() {
            checks::name(names::label, name, &path.child("name"), errors);
        }
        if !known.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        let protocol = port.get("protocol").and_then(Value::as_str);
        checks::one_of(protocol, checks::PROTOCOLS, &path.child("protocol"), errors);
        if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
            checks::name(names::qualified, protocol, &path.child("appProtocol"), errors);
        }
    }
}

fn first_few(mut all: Vec<String>) -> String {
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    match all.join(",") {
        list if more > 0 => format!("{list} + {more} more..."),
        list if list.is_empty() => "<unset>".to_owned(),
        list => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn slice() -> Value {
        json!({"metadata": {"name": "s", "namespace": "default"}, "addressType": "IPv4", "ports": [{"port": 80}],
            "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}]}}]})
    }

    #[test]
    fn slices_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("EndpointSlice", slice()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/addressType",
                json!("IP"),
                "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
            ),
            (
                "/endpoints/0/addresses",
                json!([]),
                "endpoints[0].addresses: Required value: must contain at least 1 address",
            ),
            (
                "/endpoints/0/addresses/0",
                json!("fd00::1"),
                "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address",
            ),
            (
                "/endpoints/0/addresses/0",
                json!("127.0.0.1"),
                "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ),
            (
                "/endpoints/0/hints/forZones/-",
                json!({"name": "a"}),
                "endpoints[0].hints.forZones[1].name: Duplicate value: \"a\"",
            ),
            ("/ports/-", json!({"port": 81}), "ports[1].name: Duplicate value: \"\""),
            (
                "/ports/0/protocol",
                json!("ICMP"),
                "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
        ] {
            assert_eq!(
                created("EndpointSlice", with(slice(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let names = with(
            with(slice(), "/addressType", json!("FQDN")),
            "/endpoints/0/addresses/0",
            json!("web"),
        );
        assert_eq!(
            created("EndpointSlice", names.clone()),
            [
                "endpoints[0].addresses[0]: Invalid value: \"web\": should be a domain with at least two segments separated by dots"
            ]
        );
        let other = updated("EndpointSlice", slice(), with(names, "/endpoints", json!([])));
        assert_eq!(other, ["addressType: Invalid value: \"FQDN\": field is immutable"]);
    }

    #[test]
    fn tables_show_the_first_few() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = |value: Value| EndpointSlices.cells(&decoded("EndpointSlice", value), now)[1..4].to_vec();
        assert_eq!(cells(slice()), [json!("IPv4"), json!("80"), json!("10.0.0.1")]);
        let many = with(slice(), "/endpoints/0/addresses", json!(["a", "b", "c", "d", "e"]));
        assert_eq!(cells(many)[2], "a,b,c + 2 more...");
        assert_eq!(cells(json!({})), [json!(""), json!("<unset>"), json!("<unset>")]);
    }
}
