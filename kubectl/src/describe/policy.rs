//! Network policies.

use serde_json::Value;

use super::sheet::{Sheet, items, or, plain};
use super::template::selector;

pub fn describe(sheet: &mut Sheet, object: &Value) {
    let spec = &object["spec"];
    sheet.metadata(object, true);
    let created = plain(&object["metadata"]["creationTimestamp"]);
    sheet.field(0, "Created on", &created.replace('T', " ").replace('Z', " +0000 UTC"));
    sheet.labels_and_annotations(object);
    sheet.line(0, "Spec:");
    let whom = match selector(&spec["podSelector"]).as_str() {
        "<none>" => "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned(),
        text => text.to_owned(),
    };
    sheet.line(1, &format!("PodSelector:     {whom}"));
    let types: Vec<String> = items(&spec["policyTypes"]).iter().map(plain).collect();
    for (kind, label, direction) in [
        ("Ingress", "Allowing ingress traffic:", &INGRESS),
        ("Egress", "Allowing egress traffic:", &EGRESS),
    ] {
        if types.iter().any(|one| one == kind) {
            sheet.line(1, label);
            rules(sheet, items(&spec[direction.field]), direction);
        } else {
            sheet.line(1, &format!("Not affecting {} traffic", direction.field));
        }
    }
    sheet.line(1, &format!("Policy Types: {}", types.join(", ")));
}

/// The words for one direction.
struct Direction {
    field: &'static str,
    nothing: &'static str,
    peers: &'static str,
    peer: &'static str,
    anybody: &'static str,
}

const INGRESS: Direction = Direction {
    field: "ingress",
    nothing: "<none> (Selected pods are isolated for ingress connectivity)",
    peers: "from",
    peer: "From",
    anybody: "From: <any> (traffic not restricted by source)",
};

const EGRESS: Direction = Direction {
    field: "egress",
    nothing: "<none> (Selected pods are isolated for egress connectivity)",
    peers: "to",
    peer: "To",
    anybody: "To: <any> (traffic not restricted by destination)",
};

fn rules(sheet: &mut Sheet, rules: &[Value], direction: &Direction) {
    if rules.is_empty() {
        sheet.line(2, direction.nothing);
        return;
    }
    for (index, rule) in rules.iter().enumerate() {
        ports(sheet, items(&rule["ports"]));
        let peers = items(&rule[direction.peers]);
        if peers.is_empty() {
            sheet.line(2, direction.anybody);
        }
        for one in peers {
            sheet.line(2, &format!("{}:", direction.peer));
            peer(sheet, one);
        }
        if index + 1 < rules.len() {
            sheet.line(2, "----------");
        }
    }
}

fn ports(sheet: &mut Sheet, ports: &[Value]) {
    if ports.is_empty() {
        sheet.line(2, "To Port: <any> (traffic allowed to all ports)");
    }
    for port in ports {
        let (number, protocol) = (plain(&port["port"]), or(&port["protocol"], "TCP"));
        match port["endPort"].as_i64() {
            None => sheet.line(2, &format!("To Port: {number}/{protocol}")),
            Some(end) => sheet.line(2, &format!("To Port Range: {number}-{end}/{protocol}")),
        }
    }
}

fn peer(sheet: &mut Sheet, peer: &Value) {
    for (label, field) in [
        ("NamespaceSelector", "namespaceSelector"),
        ("PodSelector", "podSelector"),
    ] {
        if peer[field].is_object() {
            sheet.line(3, &format!("{label}: {}", selector(&peer[field])));
        }
    }
    let block = &peer["ipBlock"];
    if block.is_object() {
        let except: Vec<String> = items(&block["except"]).iter().map(plain).collect();
        sheet.line(3, "IPBlock:");
        sheet.line(4, &format!("CIDR: {}", plain(&block["cidr"])));
        sheet.line(4, &format!("Except: {}", except.join(", ")));
    }
}
