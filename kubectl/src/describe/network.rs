//! Ingresses, their classes, endpoints and endpoint slices.

use serde_json::Value;

use super::sheet::{Sheet, date, items, or, plain};

/// An ingress, with the services that it sends requests to and their endpoint slices.
pub fn ingress(sheet: &mut Sheet, object: &Value, related: &[Value]) {
    let spec = &object["spec"];
    let backend = |backend: &Value| self::backend(backend, related);
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

/// `web:80 (10.0.0.2:8080)`, or the object that takes the requests.
fn backend(backend: &Value, related: &[Value]) -> String {
    let service = &backend["service"];
    if service.is_object() {
        let port = &service["port"];
        let port = if port["number"].is_null() {
            plain(&port["name"])
        } else {
            plain(&port["number"])
        };
        let name = plain(&service["name"]);
        let is_it = |object: &&Value| object["kind"] == "Service" && object["metadata"]["name"] == name.as_str();
        let Some(found) = related.iter().find(is_it) else {
            return format!("{name}:{port} (<error: services {name:?} not found>)");
        };
        let wanted = &service["port"];
        let serves = |port: &&Value| {
            let by_number = !wanted["number"].is_null() && port["port"] == wanted["number"];
            by_number || (!wanted["name"].is_null() && port["name"] == wanted["name"])
        };
        let port_name = items(&found["spec"]["ports"])
            .iter()
            .find(serves)
            .map(|port| plain(&port["name"]));
        let addresses = addresses(related, &name, &port_name.unwrap_or_default());
        return format!("{name}:{port} ({addresses})");
    }
    let resource = &backend["resource"];
    format!(
        "APIGroup: {}, Kind: {}, Name: {}",
        or(&resource["apiGroup"], "<none>"),
        plain(&resource["kind"]),
        plain(&resource["name"])
    )
}

/// The ready addresses behind a port of a service: three of them, and how many more there are.
fn addresses(related: &[Value], service: &str, port_name: &str) -> String {
    const SHOWN: usize = 3;
    let mut found = Vec::new();
    for slice in related {
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] != service {
            continue;
        }
        let ports = items(&slice["ports"])
            .iter()
            .filter(|port| plain(&port["name"]) == port_name);
        for port in ports {
            let ready = items(&slice["endpoints"])
                .iter()
                .filter(|endpoint| endpoint["conditions"]["ready"] != false);
            let addresses = ready.flat_map(|endpoint| items(&endpoint["addresses"]));
            found.extend(addresses.map(|address| format!("{}:{}", plain(address), plain(&port["port"]))));
        }
    }
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    match more {
        0 => none_or(found.join(",")),
        more => format!("{} + {more} more...", found.join(",")),
    }
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

/// An address that is taken, and by whom.
pub fn ip_address(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    let parent = &object["spec"]["parentRef"];
    if parent.is_object() {
        sheet.line(0, "Parent Reference:");
        for (label, field) in [
            ("Group", "group"),
            ("Resource", "resource"),
            ("Namespace", "namespace"),
            ("Name", "name"),
        ] {
            sheet.field(1, label, &plain(&parent[field]));
        }
    }
}

/// A range that services get their addresses from.
pub fn service_cidr(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    let cidrs: Vec<String> = items(&object["spec"]["cidrs"]).iter().map(plain).collect();
    sheet.field(0, "CIDRs", &cidrs.join(", "));
    let conditions = items(&object["status"]["conditions"]);
    if conditions.is_empty() {
        return;
    }
    let row = |condition: &Value| {
        let text = |field: &str| plain(&condition[field]);
        let since = date(&condition["lastTransitionTime"]);
        vec![text("type"), text("status"), since, text("reason"), text("message")]
    };
    let rows: Vec<Vec<String>> = conditions.iter().map(row).collect();
    sheet.line(0, "Status:");
    sheet.line(0, "Conditions:");
    sheet.table(1, &["Type", "Status", "LastTransitionTime", "Reason", "Message"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn backends_show_who_answers() {
        let related = [
            json!({"kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}}),
            json!({"kind": "EndpointSlice", "metadata": {"labels": {"kubernetes.io/service-name": "s"}},
                "ports": [{"name": "http", "port": 8080}],
                "endpoints": [{"addresses": ["a"]}, {"addresses": ["b"], "conditions": {"ready": false}}, {"addresses": ["c"]},
                    {"addresses": ["d"]}, {"addresses": ["e"]}]}),
        ];
        let by = |port: Value| json!({"service": {"name": "s", "port": port}});
        let expected = "s:80 (a:8080,c:8080,d:8080 + 1 more...)";
        assert_eq!(backend(&by(json!({"number": 80})), &related), expected);
        assert_eq!(backend(&by(json!({"name": "none"})), &related), "s:none (<none>)");
        let missing = json!({"service": {"name": "x", "port": {"number": 1}}});
        assert_eq!(backend(&missing, &related), "x:1 (<error: services \"x\" not found>)");
    }
}
