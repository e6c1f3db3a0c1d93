//! Ingresses, their classes, endpoints and endpoint slices.

use serde_json::Value;

use super::sheet::{Sheet, items, or, plain};

pub fn ingress(sheet: &mut Sheet, object: &Value) {
    let spec = &object["spec"];
    sheet.metadata(object, false);
    sheet.map("Labels", &object["metadata"]["labels"], &[]);
    sheet.field(0, "Namespace", &plain(&object["metadata"]["namespace"]));
    let addresses: Vec<&str> = items(&object["status"]["loadBalancer"]["ingress"])
        .iter()
        .map(|address| or(&address["ip"], or(&address["hostname"], "")))
        .collect();
    sheet.field(0, "Address", &addresses.join(","));
    sheet.field(0, "Ingress Class", or(&spec["ingressClassName"], "<none>"));
    let default = match &spec["defaultBackend"] {
        Value::Null => "<default>".to_owned(),
        default => backend(default),
    };
    sheet.field(0, "Default backend", &default);
    let tls = items(&spec["tls"]);
    if !tls.is_empty() {
        sheet.line(0, "TLS:");
        for entry in tls {
            let hosts: Vec<String> = items(&entry["hosts"]).iter().map(plain).collect();
            let hosts = hosts.join(",");
            match entry["secretName"].as_str().filter(|name| !name.is_empty()) {
                Some(secret) => sheet.line(1, &format!("{secret} terminates {hosts}")),
                None => sheet.line(1, &format!("SNI routes {hosts}")),
            }
        }
    }
    sheet.line(0, "Rules:");
    sheet.line(1, "Host\tPath\tBackends");
    sheet.line(1, "----\t----\t--------");
    let rules: Vec<&Value> = items(&spec["rules"])
        .iter()
        .filter(|rule| rule["http"].is_object())
        .collect();
    for rule in &rules {
        sheet.line(1, &format!("{}\t", or(&rule["host"], "*")));
        for path in items(&rule["http"]["paths"]) {
            sheet.line(
                2,
                &format!("\t{} \t{}", plain(&path["path"]), backend(&path["backend"])),
            );
        }
    }
    if rules.is_empty() {
        sheet.line(1, &format!("*\t*\t{default}"));
    }
    sheet.map(
        "Annotations",
        &object["metadata"]["annotations"],
        &[crate::apply::LAST_APPLIED],
    );
}

/// `web:80`, or the object that takes the requests.
fn backend(backend: &Value) -> String {
    let service = &backend["service"];
    if service.is_object() {
        let port = &service["port"];
        let port = if port["number"].is_null() {
            plain(&port["name"])
        } else {
            plain(&port["number"])
        };
        return format!("{}:{port}", plain(&service["name"]));
    }
    let resource = &backend["resource"];
    format!(
        "APIGroup: {}, Kind: {}, Name: {}",
        or(&resource["apiGroup"], "<none>"),
        plain(&resource["kind"]),
        plain(&resource["name"])
    )
}

pub fn ingress_class(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    sheet.field(0, "Controller", &plain(&object["spec"]["controller"]));
    let parameters = &object["spec"]["parameters"];
    if parameters.is_object() {
        sheet.line(0, "Parameters:");
        sheet.field_if(1, "APIGroup", &parameters["apiGroup"]);
        sheet.field(1, "Kind", &plain(&parameters["kind"]));
        sheet.field(1, "Name", &plain(&parameters["name"]));
    }
}

pub fn endpoints(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.line(0, "Subsets:");
    for subset in items(&object["subsets"]) {
        for (label, field) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let addresses: Vec<String> = items(&subset[field])
                .iter()
                .map(|address| plain(&address["ip"]))
                .collect();
            sheet.field(1, label, &none_or(addresses.join(",")));
        }
        let ports = items(&subset["ports"]);
        if !ports.is_empty() {
            sheet.line(1, "Ports:");
            sheet.line(2, "Name\tPort\tProtocol");
            sheet.line(2, "----\t----\t--------");
            for port in ports {
                let name = or(&port["name"], "<unset>");
                sheet.line(
                    2,
                    &format!("{name}\t{}\t{}", plain(&port["port"]), plain(&port["protocol"])),
                );
            }
        }
        sheet.line(0, "");
    }
}

pub fn endpoint_slice(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.field(0, "AddressType", &plain(&object["addressType"]));
    let unset = |value: &Value| match plain(value) {
        text if text.is_empty() => "<unset>".to_owned(),
        text => text,
    };
    let ports = items(&object["ports"]);
    if ports.is_empty() {
        sheet.line(0, "Ports: <unset>");
    } else {
        sheet.line(0, "Ports:");
        sheet.line(1, "Name\tPort\tProtocol");
        sheet.line(1, "----\t----\t--------");
        for port in ports {
            let (name, number) = (unset(&port["name"]), unset(&port["port"]));
            sheet.line(1, &format!("{name}\t{number}\t{}", plain(&port["protocol"])));
        }
    }
    let endpoints = items(&object["endpoints"]);
    if endpoints.is_empty() {
        sheet.line(0, "Endpoints: <none>");
        return;
    }
    sheet.line(0, "Endpoints:");
    for endpoint in endpoints {
        let addresses: Vec<String> = items(&endpoint["addresses"]).iter().map(plain).collect();
        sheet.field(1, "- Addresses", &none_or(addresses.join(", ")));
        sheet.line(2, "Conditions:");
        sheet.field(3, "Ready", &unset(&endpoint["conditions"]["ready"]));
        sheet.field(2, "Hostname", &unset(&endpoint["hostname"]));
        let target = &endpoint["targetRef"];
        if target.is_object() {
            sheet.field(
                2,
                "TargetRef",
                &format!("{}/{}", plain(&target["kind"]), plain(&target["name"])),
            );
        }
        sheet.field(2, "NodeName", &unset(&endpoint["nodeName"]));
        sheet.field(2, "Zone", &unset(&endpoint["zone"]));
    }
}

fn none_or(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}
