//! Services. Addresses and node ports are given out by whoever allocates them; here they are only kept and checked.

mod columns;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ServiceSpec, ServiceStatus};
use minik_api::field::Error;
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::checks::section;
use super::fill::{self, Fields};
use super::{Column, NameRule, Rules, fields, keep, text_at};

const AFFINITY_SECONDS: i64 = 3 * 3600;

pub(super) struct Services;

impl Rules for Services {
    fn name_rule(&self) -> NameRule {
        names::label_1035
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "status");
        // What may be kept depends on the type, which may be the default.
        self.defaults(new);
        if let (Some(new), Some(old)) = (fill::object(&mut new.body, "spec"), fields(old, "spec")) {
            keep_allocated(new, old);
        }
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            defaults(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        match section::<ServiceSpec>(object, "spec") {
            Err(error) => errors.push(error),
            Ok(spec) => validation::check(&spec, &mut errors),
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        match (section::<ServiceSpec>(new, "spec"), section::<ServiceSpec>(old, "spec")) {
            (Ok(new), Ok(old)) => validation::check_update(&new, &old, &mut errors),
            (new, old) => errors.extend([new.err(), old.err()].into_iter().flatten()),
        }
        errors.extend(self.validate(new));
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn field(&self, object: &Object, path: &str) -> String {
        text_at(object, path)
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec: ServiceSpec = section(object, "spec").unwrap_or_default();
        let status: ServiceStatus = section(object, "status").unwrap_or_default();
        columns::cells(object, &spec, &status, now)
    }
}

fn defaults(spec: &mut Fields) {
    fill::absent(spec, "sessionAffinity", "None");
    match fill::text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let seconds = spec
                .get("sessionAffinityConfig")
                .and_then(|config| config.pointer("/clientIP/timeoutSeconds"));
            if seconds.is_none() {
                let config = json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
        }
        _ => {}
    }
    fill::absent(spec, "type", "ClusterIP");
    for port in fill::items(spec, "ports") {
        fill::absent(port, "protocol", "TCP");
        let unset = |target: &Value| target.as_i64() == Some(0) || target.as_str() == Some("");
        if port.get("targetPort").is_none_or(unset)
            && let Some(number) = port.get("port").cloned()
        {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = fill::text(spec, "type").to_owned();
    let balanced = kind == "LoadBalancer";
    let outside = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|ips| !ips.is_empty());
    if balanced || kind == "NodePort" || (kind == "ClusterIP" && outside) {
        fill::absent(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        fill::absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if balanced {
        fill::absent(spec, "allocateLoadBalancerNodePorts", true);
    }
    // The older field is the first of the newer.
    if let Some(ip) = spec.get("clusterIP").cloned() {
        fill::absent(spec, "clusterIPs", json!([ip]));
    }
}

/// What was allocated stays, unless the update says otherwise: clients that write what they once wrote don't know it.
fn keep_allocated(new: &mut Fields, old: &Fields) {
    let (kind, old_kind) = (fill::text(new, "type"), fill::text(old, "type"));
    if kind == "ExternalName" || old_kind == "ExternalName" {
        return;
    }
    let ports_stay = matches!(kind, "NodePort" | "LoadBalancer") && matches!(old_kind, "NodePort" | "LoadBalancer");
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(value) = old.get(field) {
            fill::absent(new, field, value.clone());
        }
    }
    if !ports_stay {
        return;
    }
    let old_ports = old.get("ports").and_then(Value::as_array);
    for port in fill::items(new, "ports") {
        let same = |other: &&Value| {
            ["port", "protocol"]
                .iter()
                .all(|field| other.get(*field) == port.get(*field))
        };
        let node_port = old_ports
            .into_iter()
            .flatten()
            .find(same)
            .and_then(|other| other.get("nodePort"));
        if let Some(node_port) = node_port.cloned() {
            fill::absent(port, "nodePort", node_port);
        }
    }
    if let Some(number) = old.get("healthCheckNodePort") {
        fill::absent(new, "healthCheckNodePort", number.clone());
    }
}

#[cfg(test)]
mod tests;
