//! What controllers make pods of, and how selectors and counts of pods read.

use serde_json::Value;

use super::sheet::{Sheet, items, plain};
use super::{container, pod, volume};

/// A pod template, as it stands inside of a controller.
pub fn describe(sheet: &mut Sheet, template: &Value) {
    const INSIDE: &str = "  ";
    let spec = &template["spec"];
    sheet.line(0, "Pod Template:");
    sheet.map("  Labels", &template["metadata"]["labels"], &[]);
    let annotations = &template["metadata"]["annotations"];
    if annotations.as_object().is_some_and(|map| !map.is_empty()) {
        sheet.map("  Annotations", annotations, &[crate::apply::LAST_APPLIED]);
    }
    sheet.field_if(1, "Service Account", &spec["serviceAccountName"]);
    for (label, list) in [("Init Containers", "initContainers"), ("Containers", "containers")] {
        if list == "containers" || !items(&spec[list]).is_empty() {
            container::containers(sheet, INSIDE, label, items(&spec[list]), &[]);
        }
    }
    volume::volumes(sheet, INSIDE, items(&spec["volumes"]));
    sheet.field_if(1, "Priority Class Name", &spec["priorityClassName"]);
    sheet.map("  Node-Selectors", &spec["nodeSelector"], &[]);
    pod::tolerations(sheet, INSIDE, items(&spec["tolerations"]));
}

/// `app=web,tier in (a,b)`, sorted by key; `<none>` selects everything.
pub fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<(String, String)> = labels
        .map(|(key, value)| (key.clone(), format!("{key}={}", plain(value))))
        .collect();
    for expression in items(&selector["matchExpressions"]) {
        let key = plain(&expression["key"]);
        let mut values: Vec<String> = items(&expression["values"]).iter().map(plain).collect();
        values.sort();
        let values = values.join(",");
        let text = match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.clone(),
        };
        parts.push((key, text));
    }
    parts.sort();
    if parts.is_empty() {
        return "<none>".to_owned();
    }
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// `1 Running / 0 Waiting / 0 Succeeded / 0 Failed`, of the pods that a controller owns.
pub fn pods_status(pods: &[Value]) -> String {
    let count = |phase: &str| pods.iter().filter(|pod| pod["status"]["phase"] == phase).count();
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}

/// The one who controls an object: `ReplicaSet/web-1`.
pub fn controller(sheet: &mut Sheet, object: &Value) {
    for owner in items(&object["metadata"]["ownerReferences"]) {
        if owner["controller"] == true {
            let text = format!("{}/{}", plain(&owner["kind"]), plain(&owner["name"]));
            sheet.field(0, "Controlled By", &text);
        }
    }
}

/// The conditions of a workload: type, status and reason.
pub fn conditions(sheet: &mut Sheet, object: &Value) {
    let conditions = items(&object["status"]["conditions"]);
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus\tReason");
    sheet.line(1, "----\t------\t------");
    for condition in conditions {
        let text = |field: &str| plain(&condition[field]);
        sheet.line(1, &format!("{} \t{}\t{}", text("type"), text("status"), text("reason")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_read_as_on_the_command_line() {
        let wanted = json!({"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}, {"key": "d", "operator": "Exists"}]});
        assert_eq!(selector(&wanted), "a in (x,y),b=1,!c,d");
        assert_eq!(selector(&json!({})), "<none>");
    }
}
