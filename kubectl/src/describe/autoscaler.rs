//! Horizontal pod autoscalers.

use serde_json::Value;

use super::sheet::{Sheet, date, items, or, plain};

pub fn describe(sheet: &mut Sheet, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.field(0, "CreationTimestamp", &date(&object["metadata"]["creationTimestamp"]));
    let target = &spec["scaleTargetRef"];
    let kind = plain(&target["kind"]);
    sheet.field(0, "Reference", &format!("{kind}/{}", plain(&target["name"])));
    sheet.field(0, "Metrics", "( current / target )");
    for (index, metric) in items(&spec["metrics"]).iter().enumerate() {
        let current = items(&status["currentMetrics"]).get(index).unwrap_or(&Value::Null);
        sheet.line(1, &self::metric(metric, current));
    }
    let least = match &spec["minReplicas"] {
        Value::Null => "<unset>".to_owned(),
        least => plain(least),
    };
    sheet.field(0, "Min replicas", &least);
    sheet.field(0, "Max replicas", &plain(&spec["maxReplicas"]));
    let behavior = &spec["behavior"];
    if behavior.is_object() {
        sheet.line(0, "Behavior:");
        for (label, field) in [("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")] {
            direction(sheet, label, &behavior[field]);
        }
    }
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let replicas = format!(
        "{} current / {} desired",
        count("currentReplicas"),
        count("desiredReplicas")
    );
    sheet.field(0, &format!("{kind} pods"), &replicas);
    let conditions = items(&status["conditions"]);
    if !conditions.is_empty() {
        let row = |condition: &Value| {
            ["type", "status", "reason", "message"]
                .map(|field| plain(&condition[field]))
                .to_vec()
        };
        let rows: Vec<Vec<String>> = conditions.iter().map(row).collect();
        sheet.line(0, "Conditions:");
        sheet.table(1, &["Type", "Status", "Reason", "Message"], &rows);
    }
}

/// `resource cpu on pods  (as a percentage of request):  10% (5m) / 50%`
fn metric(metric: &Value, current: &Value) -> String {
    let kind = metric["type"].as_str().unwrap_or_default();
    let field = match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        other => return format!("<unknown metric type {other:?}>"),
    };
    let (wanted, now) = (&metric[field], &current[field]["current"]);
    let (target, name) = (&wanted["target"], plain(&wanted["metric"]["name"]));
    let pair = |value: &str| format!("{} / {}", or(&now[value], "<unknown>"), plain(&target[value]));
    let average = !target["averageValue"].is_null();
    match kind {
        "Pods" => format!("{name:?} on pods:\t{}", pair("averageValue")),
        "External" if average => format!("{name:?} (target average value):\t{}", pair("averageValue")),
        "External" => format!("{name:?} (target value):\t{}", pair("value")),
        "Object" => {
            let of = &wanted["describedObject"];
            let on = format!("{name:?} on {}/{} ", plain(&of["kind"]), plain(&of["name"]));
            if target["type"] == "AverageValue" {
                format!("{on}(target average value):\t{}", pair("averageValue"))
            } else {
                format!("{on}(target value):\t{}", pair("value"))
            }
        }
        _ => {
            let container = match wanted["container"].as_str() {
                Some(container) => format!(" of container {container:?}"),
                None => String::new(),
            };
            let what = format!("resource {}{container} on pods", plain(&wanted["name"]));
            if average {
                return format!("{what}:\t{}", pair("averageValue"));
            }
            let now = match now["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}% ({})", plain(&now["averageValue"])),
                None => "<unknown>".to_owned(),
            };
            let target = match target["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}%"),
                None => "<auto>".to_owned(),
            };
            format!("{what}  (as a percentage of request):\t{now} / {target}")
        }
    }
}

fn direction(sheet: &mut Sheet, label: &str, rules: &Value) {
    if !rules.is_object() {
        return;
    }
    sheet.line(1, &format!("{label}:"));
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        sheet.line(2, &format!("Stabilization Window: {seconds} seconds"));
    }
    let policies = items(&rules["policies"]);
    if !policies.is_empty() {
        sheet.line(2, &format!("Select Policy: {}", or(&rules["selectPolicy"], "Max")));
        sheet.line(2, "Policies:");
        for policy in policies {
            let text = |field: &str| plain(&policy[field]);
            let (kind, value, period) = (text("type"), text("value"), text("periodSeconds"));
            sheet.line(3, &format!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::metric;
    use serde_json::json;

    #[test]
    fn metrics_read_as_in_kubectl() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
        let now = json!({"resource": {"current": {"averageUtilization": 10, "averageValue": "5m"}}});
        assert_eq!(
            metric(&cpu, &now),
            "resource cpu on pods  (as a percentage of request):\t10% (5m) / 50%"
        );
        let pods = json!({"type": "Pods", "pods": {"metric": {"name": "q"}, "target": {"averageValue": "7"}}});
        assert_eq!(metric(&pods, &json!(null)), "\"q\" on pods:\t<unknown> / 7");
    }
}
