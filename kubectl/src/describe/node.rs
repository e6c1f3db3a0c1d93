//! A node: its conditions, what it has, what is asked of it, and by which pods.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sheet::{Sheet, date, items, or, plain};
use crate::print::age;

pub fn describe(sheet: &mut Sheet, node: &Value, pods: &[Value], lease: &Value) {
    sheet.metadata(node, false);
    sheet.field(0, "Roles", &roles(&node["metadata"]["labels"]));
    sheet.labels_and_annotations(node);
    sheet.field(0, "CreationTimestamp", &date(&node["metadata"]["creationTimestamp"]));
    taints(sheet, items(&node["spec"]["taints"]));
    sheet.field(0, "Unschedulable", &(node["spec"]["unschedulable"] == true).to_string());
    if lease.is_object() {
        sheet.line(0, "Lease:");
        let spec = &lease["spec"];
        sheet.field(1, "HolderIdentity", or(&spec["holderIdentity"], "<unset>"));
        for (label, field) in [("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")] {
            let time = if spec[field].is_null() {
                "<unset>".to_owned()
            } else {
                date(&spec[field])
            };
            sheet.field(1, label, &time);
        }
    }
    let status = &node["status"];
    if !items(&status["conditions"]).is_empty() {
        sheet.line(0, "Conditions:");
        let rows: Vec<Vec<String>> = items(&status["conditions"])
            .iter()
            .map(|condition| {
                vec![
                    plain(&condition["type"]),
                    plain(&condition["status"]),
                    date(&condition["lastHeartbeatTime"]),
                    date(&condition["lastTransitionTime"]),
                    plain(&condition["reason"]),
                    plain(&condition["message"]),
                ]
            })
            .collect();
        let head = [
            "Type",
            "Status",
            "LastHeartbeatTime",
            "LastTransitionTime",
            "Reason",
            "Message",
        ];
        sheet.table(1, &head, &rows);
    }
    sheet.line(0, "Addresses:");
    for address in items(&status["addresses"]) {
        sheet.field(1, &plain(&address["type"]), &plain(&address["address"]));
    }
    for (label, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        sheet.line(0, &format!("{label}:"));
        for (name, quantity) in status[field].as_object().into_iter().flatten() {
            sheet.field(1, name, &plain(quantity));
        }
    }
    sheet.line(0, "System Info:");
    let info = &status["nodeInfo"];
    for (label, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        sheet.field(1, label, &plain(&info[field]));
    }
    for (label, field) in [
        ("PodCIDR", "podCIDR"),
        ("PodCIDRs", "podCIDRs"),
        ("ProviderID", "providerID"),
    ] {
        sheet.field_if(0, label, &node["spec"][field]);
    }
    let running: Vec<&Value> = pods
        .iter()
        .filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        .collect();
    pods_on_node(sheet, &running, &status["allocatable"]);
}

fn roles(labels: &Value) -> String {
    let roles: Vec<&str> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    }
}

fn taints(sheet: &mut Sheet, taints: &[Value]) {
    if taints.is_empty() {
        sheet.field(0, "Taints", "<none>");
    }
    for (index, taint) in taints.iter().enumerate() {
        let value = or(&taint["value"], "");
        let value = if value.is_empty() {
            String::new()
        } else {
            format!("={value}")
        };
        let label = if index == 0 { "Taints:" } else { "" };
        sheet.line(
            0,
            &format!("{label}\t{}{value}:{}", plain(&taint["key"]), plain(&taint["effect"])),
        );
    }
}

fn pods_on_node(sheet: &mut Sheet, pods: &[&Value], allocatable: &Value) {
    sheet.line(0, &format!("Non-terminated Pods:\t({} in total)", pods.len()));
    let mut totals: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let rows: Vec<Vec<String>> = pods
        .iter()
        .map(|pod| {
            let mut row = vec![
                plain(&pod["metadata"]["namespace"]),
                plain(&pod["metadata"]["name"]),
                String::new(),
            ];
            for (resource, kind) in COLUMNS {
                let amount = of_pod(pod, kind, resource);
                *totals.entry((resource, kind)).or_default() += amount;
                row.push(with_share(resource, amount, &allocatable[resource]));
            }
            row.push(age::since(&plain(&pod["metadata"]["creationTimestamp"]), sheet.now));
            row
        })
        .collect();
    sheet.table(
        1,
        &[
            "Namespace",
            "Name",
            "",
            "CPU Requests",
            "CPU Limits",
            "Memory Requests",
            "Memory Limits",
            "Age",
        ],
        &rows,
    );
    sheet.line(0, "Allocated resources:");
    sheet.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    let total = |resource: &'static str, kind: &'static str| {
        let amount = totals.get(&(resource, kind)).copied().unwrap_or(0.0);
        with_share(resource, amount, &allocatable[resource])
    };
    let rows: Vec<Vec<String>> = ["cpu", "memory", "ephemeral-storage"]
        .map(|resource| {
            vec![
                resource.to_owned(),
                total(resource, "requests"),
                total(resource, "limits"),
            ]
        })
        .to_vec();
    sheet.table(1, &["Resource", "Requests", "Limits"], &rows);
}

const COLUMNS: [(&str, &str); 4] = [
    ("cpu", "requests"),
    ("cpu", "limits"),
    ("memory", "requests"),
    ("memory", "limits"),
];

/// What a pod asks for: the sum of its containers, or its largest init container if that is more.
fn of_pod(pod: &Value, kind: &str, resource: &str) -> f64 {
    let of = |container: &Value| quantity(&plain(&container["resources"][kind][resource]));
    let sum: f64 = items(&pod["spec"]["containers"]).iter().map(of).sum();
    items(&pod["spec"]["initContainers"]).iter().map(of).fold(sum, f64::max)
}

/// `250m (12%)`.
fn with_share(resource: &str, amount: f64, of: &Value) -> String {
    let whole = quantity(&plain(of));
    // Whole percents, rounded down as in kubectl.
    let share = if whole > 0.0 {
        (amount / whole * 100.0).floor()
    } else {
        0.0
    };
    format!("{} ({share:.0}%)", shown(resource, amount))
}

fn shown(resource: &str, amount: f64) -> String {
    if resource == "cpu" {
        let millis = (amount * 1000.0).round();
        return if millis % 1000.0 == 0.0 {
            format!("{}", millis / 1000.0)
        } else {
            format!("{millis}m")
        };
    }
    for (unit, size) in [("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)] {
        if amount >= size && amount % size == 0.0 {
            return format!("{}{unit}", amount / size);
        }
    }
    format!("{amount}")
}

/// The number in a quantity (`100m`, `64Mi`, `1e3`); what is no quantity counts nothing.
fn quantity(text: &str) -> f64 {
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return text.parse().unwrap_or(0.0),
    };
    number.parse::<f64>().unwrap_or(0.0) * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_counted_and_shown() {
        for (text, resource, expected) in [
            ("100m", "cpu", "100m"),
            ("2", "cpu", "2"),
            ("1.5", "cpu", "1500m"),
            ("64Mi", "memory", "64Mi"),
            ("1Gi", "memory", "1Gi"),
            ("1e3", "memory", "1000"),
            ("", "memory", "0"),
        ] {
            assert_eq!(shown(resource, quantity(text)), expected, "{text}");
        }
        assert_eq!(with_share("cpu", 0.25, &json!("2")), "250m (12%)");
    }
}
