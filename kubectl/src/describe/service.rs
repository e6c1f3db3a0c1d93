//! A service: its addresses, its ports, and the endpoints behind each.

use serde_json::Value;

use super::sheet::{Sheet, items, or, plain};

pub fn describe(sheet: &mut Sheet, service: &Value, endpoints: &[Value]) {
    sheet.metadata(service, true);
    sheet.labels_and_annotations(service);
    let spec = &service["spec"];
    sheet.field(0, "Selector", &crate::print::table::labels(&spec["selector"]));
    sheet.field(0, "Type", &plain(&spec["type"]));
    sheet.field_if(0, "IP Family Policy", &spec["ipFamilyPolicy"]);
    if !items(&spec["ipFamilies"]).is_empty() {
        sheet.field(0, "IP Families", &joined(&spec["ipFamilies"]));
    }
    sheet.field(0, "IP", &plain(&spec["clusterIP"]));
    if !items(&spec["clusterIPs"]).is_empty() {
        sheet.field(0, "IPs", &joined(&spec["clusterIPs"]));
    }
    sheet.field_if(0, "External IPs", &spec["externalIPs"]);
    sheet.field_if(0, "External Name", &spec["externalName"]);
    for port in items(&spec["ports"]) {
        let name = or(&port["name"], "<unset>");
        let protocol = or(&port["protocol"], "TCP");
        sheet.line(0, &format!("Port:\t{name}\t{}/{protocol}", plain(&port["port"])));
        let target = if port["targetPort"].is_null() {
            &port["port"]
        } else {
            &port["targetPort"]
        };
        sheet.field(0, "TargetPort", &format!("{}/{protocol}", plain(target)));
        if port["nodePort"].as_u64().unwrap_or(0) > 0 {
            sheet.line(
                0,
                &format!("NodePort:\t{name}\t{}/{protocol}", plain(&port["nodePort"])),
            );
        }
        sheet.field(0, "Endpoints", &behind(endpoints, &port["name"]));
    }
    sheet.field(0, "Session Affinity", or(&spec["sessionAffinity"], "None"));
    sheet.field_if(0, "External Traffic Policy", &spec["externalTrafficPolicy"]);
    sheet.field_if(0, "Internal Traffic Policy", &spec["internalTrafficPolicy"]);
}

fn joined(list: &Value) -> String {
    items(list).iter().map(plain).collect::<Vec<_>>().join(",")
}

/// `10.0.0.2:80,10.0.0.3:80 + 2 more...`
fn behind(endpoints: &[Value], port_name: &Value) -> String {
    let mut found = Vec::new();
    for subset in endpoints.iter().flat_map(|endpoints| items(&endpoints["subsets"])) {
        for port in items(&subset["ports"])
            .iter()
            .filter(|port| or(&port["name"], "") == or(port_name, ""))
        {
            found.extend(
                items(&subset["addresses"])
                    .iter()
                    .map(|address| format!("{}:{}", plain(&address["ip"]), plain(&port["port"]))),
            );
        }
    }
    match found.len() {
        0 => "<none>".to_owned(),
        1..=3 => found.join(","),
        more => format!("{} + {} more...", found[..3].join(","), more - 3),
    }
}
