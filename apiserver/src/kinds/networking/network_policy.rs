//! Network policies: who may speak to whom.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

pub(in crate::kinds) struct NetworkPolicies;

impl Rules for NetworkPolicies {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object(&mut object.body, "spec") else {
            return;
        };
        for direction in ["ingress", "egress"] {
            for rule in fill::items(spec, direction) {
                for port in fill::items(rule, "ports") {
                    fill::absent(port, "protocol", "TCP");
                }
            }
        }
        if read::is_empty(spec.get("policyTypes")) {
            let speaks = !read::is_empty(spec.get("egress"));
            let types = if speaks {
                json!(["Ingress", "Egress"])
            } else {
                json!(["Ingress"])
            };
            spec.insert("policyTypes".to_owned(), types);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        check_selector(object.at("spec.podSelector"), &path.child("podSelector"), &mut errors);
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            let rules = read::list(object.at("spec").and_then(|spec| spec.get(direction)));
            for (index, rule) in rules.iter().enumerate() {
                let path = path.child(direction).index(index);
                for (index, port) in read::list(rule.get("ports")).iter().enumerate() {
                    check_port(port, &path.child("ports").index(index), &mut errors);
                }
                for (index, peer) in read::list(rule.get(peers)).iter().enumerate() {
                    check_peer(peer, &path.child(peers).index(index), &mut errors);
                }
            }
        }
        check_types(object.at("spec.policyTypes"), &path.child("policyTypes"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Pod-Selector", "The labels of the pods that it is about."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = read::typed(object.at("spec.podSelector")).unwrap_or_default();
        vec![
            object.name().into(),
            checks::shown_selector(&selector).into(),
            age(object, now).into(),
        ]
    }
}

fn check_types(types: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let known = ["Ingress", "Egress"];
    let list = read::texts(types);
    if list.len() > known.len() {
        let detail = "may not specify more than two policyTypes";
        errors.push(Error::invalid(path, list, detail));
        return;
    }
    for (index, name) in list.into_iter().enumerate().filter(|(_, name)| !known.contains(name)) {
        errors.push(Error::not_supported(&path.index(index), name, &known));
    }
}

fn check_selector(selector: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let selector: Option<LabelSelector> = read::typed(selector);
    checks::label_selector(selector.as_ref(), path, errors);
}

fn check_port(port: &Value, path: &Path, errors: &mut Vec<Error>) {
    if let Some(protocol) = port.get("protocol").and_then(Value::as_str)
        && !checks::PROTOCOLS.contains(&protocol)
    {
        let known = ["TCP", "UDP", "SCTP"];
        errors.push(Error::not_supported(&path.child("protocol"), protocol, &known));
    }
    let number = |field: &str| port.get(field).and_then(Value::as_i64).map(narrow);
    let (end, end_path) = (number("endPort"), path.child("endPort"));
    match (port.get("port"), end) {
        (None, Some(end)) => {
            let detail = "may not be specified when `port` is not specified";
            errors.push(Error::invalid(&end_path, end, detail));
        }
        (None, None) => {}
        (Some(Value::String(name)), end) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(Error::invalid(&end_path, end, detail));
            }
            checks::name(checks::port_name, name, &path.child("port"), errors);
        }
        (Some(_), end) => {
            let first = number("port").unwrap_or(0);
            checks::port_number(first, &path.child("port"), errors);
            if let Some(end) = end {
                if end < first {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(Error::invalid(&end_path, end, detail));
                }
                checks::port_number(end, &end_path, errors);
            }
        }
    }
}

/// Decoding has made sure that ports have 32 bits.
fn narrow(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(-1)
}

fn check_peer(peer: &Value, path: &Path, errors: &mut Vec<Error>) {
    let selectors = ["podSelector", "namespaceSelector"].map(|field| (field, peer.get(field)));
    for (field, selector) in selectors {
        check_selector(selector, &path.child(field), errors);
    }
    let selects = selectors.iter().any(|(_, selector)| selector.is_some());
    match peer.get("ipBlock") {
        Some(block) => {
            check_block(block, &path.child("ipBlock"), errors);
            if selects {
                let detail = "may not specify both ipBlock and another peer";
                errors.push(Error::forbidden(path, detail));
            }
        }
        None if !selects => errors.push(Error::required(path, "must specify a peer")),
        None => {}
    }
}

fn check_block(block: &Value, path: &Path, errors: &mut Vec<Error>) {
    let range = read::text(block.get("cidr"));
    if range.is_empty() {
        errors.push(Error::required(&path.child("cidr"), ""));
        return;
    }
    checks::cidr(range, &path.child("cidr"), errors);
    let outer = checks::parsed_cidr(range);
    for (index, except) in read::texts(block.get("except")).into_iter().enumerate() {
        let path = path.child("except").index(index);
        checks::cidr(except, &path, errors);
        if let (Some(outer), Some(inner)) = (outer, checks::parsed_cidr(except))
            && !outer.contains_strictly(&inner)
        {
            errors.push(Error::invalid(&path, except, "must be a strict subset of `cidr`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};

    fn policy() -> Value {
        json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {
            "podSelector": {"matchLabels": {"b": "2", "a": "1"}},
            "ingress": [{"ports": [{"port": 80}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}})
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let object = decoded("NetworkPolicy", policy());
        assert_eq!(object.at("spec.policyTypes"), Some(&json!(["Ingress"])));
        assert_eq!(object.body["spec"]["ingress"][0]["ports"][0]["protocol"], "TCP");
        let speaks = decoded("NetworkPolicy", with(policy(), "/spec/egress", json!([{}])));
        assert_eq!(speaks.at("spec.policyTypes"), Some(&json!(["Ingress", "Egress"])));
    }

    #[test]
    fn policies_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("NetworkPolicy", policy()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/policyTypes",
                json!(["Sideways"]),
                "spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\"",
            ),
            (
                "/spec/ingress/0/ports/0/endPort",
                json!(70),
                "spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
            ),
            (
                "/spec/ingress/0/from/0/podSelector",
                json!({}),
                "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
            ),
            (
                "/spec/ingress/0/from/0/ipBlock",
                Value::Null,
                "spec.ingress[0].from[0]: Required value: must specify a peer",
            ),
            (
                "/spec/ingress/0/from/0/ipBlock/except/0",
                json!("11.0.0.0/16"),
                "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            ),
        ] {
            assert_eq!(
                created("NetworkPolicy", with(policy(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn tables_show_the_selector() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cell = |value: Value| NetworkPolicies.cells(&decoded("NetworkPolicy", value), now)[1].clone();
        assert_eq!(cell(policy()), "a=1,b=2");
        assert_eq!(cell(json!({"spec": {"podSelector": {}}})), "<none>");
    }
}
