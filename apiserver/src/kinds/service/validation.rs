//! What a service's spec may say, and what may change in it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use minik_api::field::{Error, Path};
use minik_api::names::{label, qualified, subdomain};
use serde_json::json;

use crate::kinds::checks;
use crate::kinds::metadata::validate_labels;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITY_SECONDS_MAX: i32 = 86_400;
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";
const NOT_EXTERNAL: &str = "may not be set for ExternalName services";

pub(super) fn check(spec: &ServiceSpec, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let kind = spec.type_.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let ports_path = path.child("ports");
    if ports.is_empty() && !is_headless(spec) && kind != "ExternalName" {
        errors.push(Error::required(&ports_path, ""));
    }
    of_type(spec, kind, &path, errors);
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        check_port(port, ports.len() > 1, &mut names, &ports_path.index(index), errors);
    }
    if let Some(selector) = &spec.selector {
        errors.extend(validate_labels(selector, &path.child("selector")));
    }
    affinity(spec, &path, errors);
    if kind != "ExternalName" {
        cluster_ips(spec, &path, errors);
    }
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        let path = path.child("externalIPs").index(index);
        let before = errors.len();
        checks::ip(ip, &path, errors);
        if errors.len() == before {
            checks::endpoint_ip(ip, &path, errors);
        }
    }
    checks::one_of(spec.type_.as_deref(), TYPES, &path.child("type"), errors);
    unique_ports(ports, kind, &ports_path, errors);
    balancing(spec, kind, &path, errors);
    traffic(spec, kind, &path, errors);
}

/// What was given to a service is its own until its type changes.
pub(super) fn check_update(new: &ServiceSpec, old: &ServiceSpec, errors: &mut Vec<Error>) {
    let external = |spec: &ServiceSpec| spec.type_.as_deref() == Some("ExternalName");
    let path = Path::new("spec");
    if !external(new) && !external(old) {
        let list = |spec: &ServiceSpec| spec.cluster_ips.clone().unwrap_or_default();
        let (new_ips, old_ips) = (list(new), list(old));
        let changed = |at: usize| {
            old_ips
                .get(at)
                .is_some_and(|old| new_ips.get(at).is_some_and(|new| new != old))
        };
        let given = old_ips.first().is_some_and(|ip| !ip.is_empty());
        if given && changed(0) {
            errors.push(Error::invalid(
                &path.child("clusterIPs").index(0),
                new_ips,
                "may not change once set",
            ));
        } else if changed(1) {
            errors.push(Error::invalid(
                &path.child("clusterIPs").index(1),
                new_ips,
                "may not change once set",
            ));
        }
    }
    if needs_health_check(new) && needs_health_check(old) && new.health_check_node_port != old.health_check_node_port {
        errors.push(Error::forbidden(
            &path.child("healthCheckNodePort"),
            "field is immutable",
        ));
    }
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ips.iter().flatten().next().is_some_and(|ip| ip == "None")
}

fn needs_health_check(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("LoadBalancer") && spec.external_traffic_policy.as_deref() == Some("Local")
}

fn of_type(spec: &ServiceSpec, kind: &str, path: &Path, errors: &mut Vec<Error>) {
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(Error::invalid(&path.child("clusterIPs").index(0), "None", detail));
        }
        "ExternalName" => {
            for (field, there) in [
                ("clusterIPs", spec.cluster_ips.is_some()),
                ("ipFamilies", spec.ip_families.is_some()),
                ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
            ] {
                if there {
                    errors.push(Error::forbidden(&path.child(field), NOT_EXTERNAL));
                }
            }
            let name = spec.external_name.as_deref().unwrap_or_default();
            let name = name.strip_suffix('.').unwrap_or(name);
            checks::required_name(subdomain, name, &path.child("externalName"), errors);
        }
        _ => {}
    }
}

fn check_port<'a>(
    port: &'a ServicePort,
    named: bool,
    names: &mut BTreeSet<&'a str>,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    match port.name.as_deref().unwrap_or_default() {
        "" if named => errors.push(Error::required(&path.child("name"), "")),
        "" => {}
        name => {
            checks::name(label, name, &path.child("name"), errors);
            if !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
    }
    checks::port_number(port.port, &path.child("port"), errors);
    checks::one_of(
        port.protocol.as_deref(),
        checks::PROTOCOLS,
        &path.child("protocol"),
        errors,
    );
    if let Some(target) = &port.target_port {
        checks::port(target, &path.child("targetPort"), errors);
    }
    if let Some(protocol) = &port.app_protocol {
        checks::name(qualified, protocol, &path.child("appProtocol"), errors);
    }
}

fn affinity(spec: &ServiceSpec, path: &Path, errors: &mut Vec<Error>) {
    let affinity = spec.session_affinity.as_deref();
    checks::one_of(affinity, &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    if affinity != Some("ClientIP") {
        return;
    }
    let path = path
        .child("sessionAffinityConfig")
        .child("clientIP")
        .child("timeoutSeconds");
    let client_ip = spec
        .session_affinity_config
        .as_ref()
        .and_then(|config| config.client_ip.as_ref());
    match client_ip.and_then(|client_ip| client_ip.timeout_seconds) {
        None => errors.push(Error::required(&path, "when session affinity type is ClientIP")),
        Some(seconds) if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) => {
            let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
            errors.push(Error::invalid(&path, seconds, detail));
        }
        Some(_) => {}
    }
}

fn cluster_ips(spec: &ServiceSpec, path: &Path, errors: &mut Vec<Error>) {
    let list = spec.cluster_ips.clone().unwrap_or_default();
    let own_path = path.child("clusterIPs");
    let mut refuse = |detail: &str| errors.push(Error::invalid(&own_path, list.clone(), detail));
    match (spec.cluster_ip.as_deref().unwrap_or_default(), list.first()) {
        ("", Some(_)) => refuse("must be empty when `clusterIP` is not specified"),
        (ip, Some(first)) if ip != first => refuse("first value must match `clusterIP`"),
        _ => {}
    }
    if list.len() > 2 {
        refuse("may only hold up to 2 values");
    }
    if list.len() > 1 && list[0] == "None" {
        refuse("'None' must be the first and only value");
    } else if list.len() == 2 && list[0].contains(':') == list[1].contains(':') {
        refuse("may specify no more than one IP for each IP family");
    }
    for (index, ip) in list
        .iter()
        .enumerate()
        .filter(|(index, ip)| *index > 0 || *ip != "None")
    {
        checks::ip(ip, &own_path.index(index), errors);
    }
    let families = spec.ip_families.as_deref().unwrap_or_default();
    for (index, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        checks::one_of(Some(family), &["IPv4", "IPv6"], &path, errors);
        if families[..index].contains(family) {
            errors.push(Error::duplicate(&path, family.as_str()));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    checks::one_of_or_none(
        spec.ip_family_policy.as_deref(),
        &policies,
        &path.child("ipFamilyPolicy"),
        errors,
    );
    for (index, (ip, family)) in list
        .iter()
        .zip(families)
        .enumerate()
        .filter(|(_, (ip, _))| *ip != "None")
    {
        if ip.contains(':') != (family == "IPv6") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&own_path.index(index), ip.as_str(), detail));
        }
    }
}

fn unique_ports(ports: &[ServicePort], kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let (mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if let Some(node_port) = port.node_port {
            if kind == "ClusterIP" {
                let detail = "may not be used when `type` is 'ClusterIP'";
                errors.push(Error::forbidden(&path.child("nodePort"), detail));
            }
            if !node_ports.insert((protocol, node_port)) {
                errors.push(Error::duplicate(&path.child("nodePort"), node_port));
            }
        }
        if !numbers.insert((protocol, port.port)) {
            errors.push(Error::duplicate(
                &path,
                json!({"port": port.port, "protocol": protocol}),
            ));
        }
    }
}

fn balancing(spec: &ServiceSpec, kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let balanced = kind == "LoadBalancer";
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let ranges_path = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        errors.push(Error::forbidden(&ranges_path, ONLY_BALANCED));
    }
    for (index, range) in ranges.iter().enumerate() {
        checks::cidr(range.trim(), &ranges_path.index(index), errors);
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !balanced {
        errors.push(Error::forbidden(
            &path.child("allocateLoadBalancerNodePorts"),
            ONLY_BALANCED,
        ));
    }
    if spec.load_balancer_class.is_some() && !balanced {
        errors.push(Error::forbidden(&path.child("loadBalancerClass"), ONLY_BALANCED));
    }
}

fn traffic(spec: &ServiceSpec, kind: &str, path: &Path, errors: &mut Vec<Error>) {
    let outside = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let reachable = matches!(kind, "LoadBalancer" | "NodePort") || (kind == "ClusterIP" && outside);
    let policy = spec.external_traffic_policy.as_deref();
    let policy_path = path.child("externalTrafficPolicy");
    if reachable {
        checks::one_of(policy, &["Cluster", "Local"], &policy_path, errors);
    } else if let Some(policy) = policy {
        errors.push(Error::invalid(
            &policy_path,
            policy,
            "may only be set for externally-accessible services",
        ));
    }
    if let Some(number) = spec.health_check_node_port {
        let path = path.child("healthCheckNodePort");
        if needs_health_check(spec) {
            checks::port_number(number, &path, errors);
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(&path, number, detail));
        }
    }
    let internal = spec.internal_traffic_policy.as_deref();
    checks::one_of_or_none(
        internal,
        &["Cluster", "Local"],
        &path.child("internalTrafficPolicy"),
        errors,
    );
    let distribution = spec.traffic_distribution.as_deref();
    let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    checks::one_of_or_none(distribution, &supported, &path.child("trafficDistribution"), errors);
}
