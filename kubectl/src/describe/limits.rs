//! Quotas, limit ranges, disruption budgets and priority classes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::sheet::{Sheet, items, plain};
use super::template::selector;
use crate::print::table;

pub fn quota(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    let mut scopes: Vec<String> = items(&object["spec"]["scopes"]).iter().map(plain).collect();
    scopes.sort();
    if !scopes.is_empty() {
        sheet.field(0, "Scopes", &scopes.join(", "));
        for scope in scopes.iter().filter_map(|scope| meaning(scope)) {
            sheet.line(0, &format!(" * {scope}"));
        }
    }
    sheet.line(0, "Resource\tUsed\tHard");
    sheet.line(0, "--------\t----\t----");
    used(sheet, 0, object);
}

/// What counts under a scope, in Kubernetes' words.
fn meaning(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
        }
        "BestEffort" => {
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
        }
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
        }
        _ => return None,
    })
}

fn used(sheet: &mut Sheet, depth: usize, quota: &Value) {
    let status = &quota["status"];
    for (resource, hard) in status["hard"].as_object().into_iter().flatten() {
        let used = status["used"][resource].as_str().unwrap_or("0");
        sheet.line(depth, &format!("{resource}\t{used}\t{}", plain(hard)));
    }
}

pub fn limit_range(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.line(
        0,
        "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
    );
    sheet.line(
        0,
        "----\t--------\t---\t---\t---------------\t-------------\t-----------------------",
    );
    ranges(sheet, "", object);
}

fn ranges(sheet: &mut Sheet, prefix: &str, object: &Value) {
    const KINDS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for limit in items(&object["spec"]["limits"]) {
        let names = KINDS
            .iter()
            .filter_map(|kind| limit[*kind].as_object())
            .flat_map(|map| map.keys());
        for resource in names.collect::<BTreeSet<_>>() {
            let values = KINDS.map(|kind| limit[kind][resource].as_str().unwrap_or("-"));
            sheet.line(
                0,
                &format!("{prefix}{}\t{resource}\t{}", plain(&limit["type"]), values.join("\t")),
            );
        }
    }
}

/// The quotas and limit ranges of a namespace.
pub fn of_namespace(sheet: &mut Sheet, related: &[Value]) {
    let of = |kind: &str| {
        related
            .iter()
            .filter(|object| object["kind"] == kind)
            .collect::<Vec<&Value>>()
    };
    let (quotas, limits) = (of("ResourceQuota"), of("LimitRange"));
    sheet.line(0, "");
    if quotas.is_empty() {
        sheet.line(0, "No resource quota.");
    } else {
        sheet.line(0, "Resource Quotas");
    }
    for quota in quotas {
        sheet.field(1, "Name", &plain(&quota["metadata"]["name"]));
        let mut scopes: Vec<String> = items(&quota["spec"]["scopes"]).iter().map(plain).collect();
        scopes.sort();
        if !scopes.is_empty() {
            sheet.field(1, "Scopes", &scopes.join(", "));
            for scope in scopes.iter().filter_map(|scope| meaning(scope)) {
                sheet.line(1, &format!("* {scope}"));
            }
        }
        sheet.line(1, "Resource\tUsed\tHard");
        sheet.line(1, "--------\t---\t---");
        used(sheet, 1, quota);
    }
    sheet.line(0, "");
    if limits.is_empty() {
        sheet.line(0, "No LimitRange resource.");
        return;
    }
    sheet.line(0, "Resource Limits");
    sheet.line(
        0,
        " Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
    );
    sheet.line(
        0,
        " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------",
    );
    for limit in limits {
        ranges(sheet, " ", limit);
    }
}

pub fn budget(sheet: &mut Sheet, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    if spec["minAvailable"].is_null() {
        sheet.field_if(0, "Max unavailable", &spec["maxUnavailable"]);
    } else {
        sheet.field(0, "Min available", &plain(&spec["minAvailable"]));
    }
    let selected = if spec["selector"].is_null() {
        "<unset>".to_owned()
    } else {
        selector(&spec["selector"])
    };
    sheet.field(0, "Selector", &selected);
    sheet.line(0, "Status:");
    for (label, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        sheet.field(2, label, &status[field].as_i64().unwrap_or(0).to_string());
    }
}

pub fn priority_class(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.field(0, "Value", &plain(&object["value"]));
    sheet.field(0, "GlobalDefault", &(object["globalDefault"] == true).to_string());
    sheet.field(0, "PreemptionPolicy", &plain(&object["preemptionPolicy"]));
    sheet.field(0, "Description", &plain(&object["description"]));
    sheet.field(0, "Annotations", &table::labels(&object["metadata"]["annotations"]));
}
