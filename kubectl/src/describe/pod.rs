//! A pod: where it runs, how it is, what it tolerates. Its containers and its volumes are `container`'s and `volume`'s.

use serde_json::Value;

use super::container::containers;
use super::sheet::{Sheet, date, items, plain};
use super::volume::volumes;
use crate::print::age;

pub fn describe(sheet: &mut Sheet, pod: &Value) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    sheet.metadata(pod, true);
    sheet.field_if(0, "Priority", &spec["priority"]);
    sheet.field_if(0, "Priority Class Name", &spec["priorityClassName"]);
    sheet.field_if(0, "Runtime Class Name", &spec["runtimeClassName"]);
    if !plain(&spec["serviceAccountName"]).is_empty() {
        sheet.field(0, "Service Account", &plain(&spec["serviceAccountName"]));
    }
    match spec["nodeName"].as_str().filter(|name| !name.is_empty()) {
        Some(node) => sheet.field(0, "Node", &format!("{node}/{}", plain(&status["hostIP"]))),
        None => sheet.field(0, "Node", "<none>"),
    }
    if status["startTime"].is_string() {
        sheet.field(0, "Start Time", &date(&status["startTime"]));
    }
    sheet.labels_and_annotations(pod);
    phase(sheet, pod);
    sheet.field_if(0, "Reason", &status["reason"]);
    sheet.field_if(0, "Message", &status["message"]);
    sheet.field(0, "IP", &plain(&status["podIP"]));
    if items(&status["podIPs"]).is_empty() {
        sheet.line(0, "IPs:\t<none>");
    } else {
        sheet.line(0, "IPs:");
        for ip in items(&status["podIPs"]) {
            sheet.field(1, "IP", &plain(&ip["ip"]));
        }
    }
    for owner in items(&pod["metadata"]["ownerReferences"]) {
        if owner["controller"] == true {
            sheet.field(
                0,
                "Controlled By",
                &format!("{}/{}", plain(&owner["kind"]), plain(&owner["name"])),
            );
        }
    }
    for (label, list, statuses) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        (
            "Ephemeral Containers",
            "ephemeralContainers",
            "ephemeralContainerStatuses",
        ),
    ] {
        if !items(&spec[list]).is_empty() {
            containers(sheet, "", label, items(&spec[list]), items(&status[statuses]));
        }
    }
    conditions(sheet, items(&status["conditions"]));
    volumes(sheet, "", items(&spec["volumes"]));
    sheet.field_if(0, "QoS Class", &status["qosClass"]);
    sheet.map("Node-Selectors", &spec["nodeSelector"], &[]);
    tolerations(sheet, "", items(&spec["tolerations"]));
}

fn phase(sheet: &mut Sheet, pod: &Value) {
    let deleted = &pod["metadata"]["deletionTimestamp"];
    if deleted.is_string() {
        let since = age::since(&plain(deleted), sheet.now);
        sheet.field(0, "Status", &format!("Terminating (lasts {since})"));
        let grace = &pod["metadata"]["deletionGracePeriodSeconds"];
        sheet.field(0, "Termination Grace Period", &format!("{}s", plain(grace)));
    } else {
        sheet.field(0, "Status", &plain(&pod["status"]["phase"]));
    }
}

fn conditions(sheet: &mut Sheet, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus");
    for condition in conditions {
        sheet.line(
            1,
            &format!("{}\t{}", plain(&condition["type"]), plain(&condition["status"])),
        );
    }
}

/// Tolerations; `inside` is the indentation of what they stand in, which is a template or nothing.
pub fn tolerations(sheet: &mut Sheet, inside: &str, tolerations: &[Value]) {
    let texts: Vec<String> = tolerations.iter().map(toleration).collect();
    if texts.is_empty() {
        sheet.line(0, &format!("{inside}Tolerations:\t<none>"));
    }
    for (index, text) in texts.iter().enumerate() {
        let label = if index == 0 {
            format!("{inside}Tolerations:")
        } else {
            String::new()
        };
        sheet.line(0, &format!("{label}\t{text}"));
    }
}

fn toleration(toleration: &Value) -> String {
    let part = |field: &str, before: &str| match plain(&toleration[field]).as_str() {
        "" => String::new(),
        text => format!("{before}{text}"),
    };
    let mut text = format!("{}{}{}", part("key", ""), part("value", "="), part("effect", ":"));
    if toleration["operator"] == "Exists" {
        text.push_str(" op=Exists");
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        text.push_str(&format!(" for {seconds}s"));
    }
    text.trim_start().to_owned()
}
