//! Ingresses: which requests from outside go to which service. The sentences are those of upstream's
//! `pkg/apis/networking/validation`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, read};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
/// How many hosts a table shows.
const SHOWN: usize = 3;

pub(in crate::kinds) struct Ingresses;

impl Rules for Ingresses {
    fn has_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check(object, &mut errors);
        let class = object.at("spec.ingressClassName").and_then(Value::as_str);
        let annotations = object.metadata.annotations.as_ref();
        if let Some(annotated) = annotations.and_then(|all| all.get(CLASS_ANNOTATION))
            && class.is_some_and(|class| class != annotated)
        {
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            let detail = "must match `ingressClassName` when both are specified";
            errors.push(Error::invalid(&path, annotated.as_str(), detail));
        }
        errors
    }

    fn validate_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check(new, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let path = Path::new("status").child("loadBalancer").child("ingress");
        let mut errors = Vec::new();
        for (index, point) in read::list(new.at("status.loadBalancer.ingress")).iter().enumerate() {
            let (ip, hostname) = (read::text(point.get("ip")), read::text(point.get("hostname")));
            if !ip.is_empty() {
                checks::ip(ip, &path.index(index).child("ip"), &mut errors);
            }
            if !hostname.is_empty() {
                let path = path.index(index).child("hostname");
                checks::name(names::subdomain, hostname, &path, &mut errors);
                no_address(hostname, &path, &mut errors);
            }
        }
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let annotated = object.metadata.annotations.iter().flatten();
        let deprecated = annotated.filter(|(key, _)| *key == CLASS_ANNOTATION);
        deprecated
            .map(|_| {
                format!("annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead")
            })
            .collect()
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Class", "Which class of controllers takes care of it."),
            Column::text("Hosts", "The hosts of its rules."),
            Column::text("Address", "Where requests from outside arrive."),
            Column::text("Ports", "Whether TLS is spoken too."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ports = if read::is_empty(object.at("spec.tls")) {
            "80"
        } else {
            "80, 443"
        };
        vec![
            object.name().into(),
            read::or_none(read::text(object.at("spec.ingressClassName"))),
            hosts(read::list(object.at("spec.rules"))).into(),
            addresses(object).into(),
            ports.into(),
            age(object, now).into(),
        ]
    }
}

fn check(object: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let rules = read::list(object.at("spec.rules"));
    let default = object.at("spec.defaultBackend");
    if rules.is_empty() && default.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, Value::Array(Vec::new()), detail));
    }
    if let Some(default) = default {
        check_backend(default, &path.child("defaultBackend"), errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        check_rule(rule, &path.child("rules").index(index), errors);
    }
    for (index, tls) in read::list(object.at("spec.tls")).iter().enumerate() {
        let path = path.child("tls").index(index);
        for (index, host) in read::texts(tls.get("hosts")).into_iter().enumerate() {
            check_host(host, &path.child("hosts").index(index), errors);
        }
        let secret = read::text(tls.get("secretName"));
        if !secret.is_empty() {
            checks::name(names::subdomain, secret, &path.child("secretName"), errors);
        }
    }
    if let Some(class) = object.at("spec.ingressClassName").and_then(Value::as_str) {
        checks::name(names::subdomain, class, &path.child("ingressClassName"), errors);
    }
}

fn check_rule(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let host = read::text(rule.get("host"));
    if !host.is_empty() {
        no_address(host, &path.child("host"), errors);
        check_host(host, &path.child("host"), errors);
    }
    let Some(http) = rule.get("http") else { return };
    let (path, paths) = (path.child("http").child("paths"), read::list(http.get("paths")));
    if paths.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    for (index, item) in paths.iter().enumerate() {
        check_path(item, &path.index(index), errors);
    }
}

fn check_host(host: &str, path: &Path, errors: &mut Vec<Error>) {
    let rule = if host.contains('*') {
        names::wildcard_subdomain
    } else {
        names::subdomain
    };
    checks::name(rule, host, path, errors);
}

fn no_address(host: &str, path: &Path, errors: &mut Vec<Error>) {
    if host.parse::<IpAddr>().is_ok() {
        errors.push(Error::invalid(path, host, "must be a DNS name, not an IP address"));
    }
}

fn check_path(item: &Value, path: &Path, errors: &mut Vec<Error>) {
    let Some(kind) = item.get("pathType").and_then(Value::as_str) else {
        errors.push(Error::required(&path.child("pathType"), "pathType must be specified"));
        return;
    };
    let (text, text_path) = (read::text(item.get("path")), path.child("path"));
    let mut refuse = |detail: String| errors.push(Error::invalid(&text_path, text, detail));
    let absolute = text.starts_with('/');
    match kind {
        "Exact" | "Prefix" => {
            if !absolute {
                refuse("must be an absolute path".to_owned());
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    refuse(format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    refuse(format!("cannot end with '{end}'"));
                }
            }
        }
        "ImplementationSpecific" if !absolute && !text.is_empty() => refuse("must be an absolute path".to_owned()),
        "ImplementationSpecific" => {}
        other => errors.push(Error::not_supported(&path.child("pathType"), other, PATH_TYPES)),
    }
    check_backend(&item["backend"], &path.child("backend"), errors);
}

fn check_backend(backend: &Value, path: &Path, errors: &mut Vec<Error>) {
    match (backend.get("resource"), backend.get("service")) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(
                path,
                "",
                "cannot set both resource and service backends",
            ));
        }
        (Some(resource), None) => super::ingress_class::check_reference(resource, &path.child("resource"), errors),
        (None, Some(service)) => check_service(service, path, errors),
        (None, None) => errors.push(Error::invalid(path, "", "resource or service backend is required")),
    }
}

fn check_service(service: &Value, path: &Path, errors: &mut Vec<Error>) {
    let service_path = path.child("service");
    let name = read::text(service.get("name"));
    checks::required_name(names::label, name, &service_path.child("name"), errors);
    let port_path = service_path.child("port");
    let name = read::text(read::at(Some(service), "port.name"));
    let number = read::at(Some(service), "port.number")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    match (name, number) {
        ("", 0) => errors.push(Error::required(path, "port name or number is required")),
        ("", number) => {
            let number = i32::try_from(number).unwrap_or(-1);
            checks::port_number(number, &port_path.child("number"), errors);
        }
        (name, 0) => checks::name(checks::port_name, name, &port_path.child("name"), errors),
        _ => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
    }
}

fn hosts(rules: &[Value]) -> String {
    let all = rules.iter().map(|rule| read::text(rule.get("host")));
    let shown: Vec<&str> = all.filter(|host| !host.is_empty()).take(SHOWN).collect();
    match rules.len().saturating_sub(SHOWN) {
        _ if shown.is_empty() => "*".to_owned(),
        more if more > 0 && shown.len() == SHOWN => format!("{} + {more} more...", shown.join(",")),
        _ => shown.join(","),
    }
}

fn addresses(object: &Object) -> String {
    let points = read::list(object.at("status.loadBalancer.ingress")).iter();
    let addresses: BTreeSet<&str> = points
        .filter_map(|point| {
            let (ip, hostname) = (read::text(point.get("ip")), read::text(point.get("hostname")));
            [ip, hostname].into_iter().find(|address| !address.is_empty())
        })
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn ingress() -> Value {
        json!({"metadata": {"name": "i", "namespace": "default"}, "spec": {"rules": [{"host": "a.example.com",
            "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})
    }

    #[test]
    fn ingresses_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("Ingress", ingress()), Vec::<String>::new());
        let path = "/spec/rules/0/http/paths/0";
        for (pointer, value, expected) in [
            (
                "/spec/rules",
                json!([]),
                "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified",
            ),
            (
                "/spec/rules/0/host",
                json!("10.0.0.1"),
                "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            ),
            (
                &format!("{path}/path"),
                json!("a"),
                "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
            ),
            (
                &format!("{path}/path"),
                json!("/a//b"),
                "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'",
            ),
            (
                &format!("{path}/pathType"),
                json!("Regex"),
                "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Regex\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
            ),
            (
                &format!("{path}/backend/service/port/name"),
                json!("http"),
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": cannot set both port name & port number",
            ),
            (
                &format!("{path}/backend/service/port"),
                json!({}),
                "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
            ),
            (
                &format!("{path}/backend/service"),
                Value::Null,
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
            ),
        ] {
            assert_eq!(
                created("Ingress", with(ingress(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let wildcard = created("Ingress", with(ingress(), "/spec/rules/0/host", json!("*")));
        assert!(
            wildcard[0].contains("a wildcard DNS-1123 subdomain must start with '*.'"),
            "{wildcard:?}"
        );
    }

    #[test]
    fn tables_show_hosts_and_addresses() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = Ingresses.cells(&decoded("Ingress", ingress()), now);
        assert_eq!(
            cells[1..5],
            [json!("<none>"), json!("a.example.com"), json!(""), json!("80")]
        );
        let rules: Vec<Value> = ["a", "b", "c", "d"].iter().map(|host| json!({"host": host})).collect();
        assert_eq!(hosts(&rules), "a,b,c + 1 more...");
        assert_eq!(hosts(&[json!({})]), "*");
        let points = with(
            ingress(),
            "/status",
            json!({"loadBalancer": {"ingress": [{"hostname": "b"}, {"ip": "a"}]}}),
        );
        assert_eq!(addresses(&decoded("Ingress", points)), "a,b");
    }
}
