//! Deployments, replica sets, stateful sets, daemon sets, jobs and cron jobs.

use serde_json::Value;

use super::sheet::{Sheet, capital, date, items, or, plain};
use super::template::{self, conditions, controller, pods_status, selector};
use crate::apply::LAST_APPLIED;
use crate::print::{age, table};

/// A deployment, and the replica sets that are its own.
pub fn deployment(sheet: &mut Sheet, object: &Value, replica_sets: &[Value]) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.field(0, "CreationTimestamp", &date(&object["metadata"]["creationTimestamp"]));
    sheet.labels_and_annotations(object);
    sheet.field(0, "Selector", &selector(&spec["selector"]));
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let replicas = format!(
        "{} desired | {} updated | {} total | {} available | {} unavailable",
        spec["replicas"].as_i64().unwrap_or(1),
        count("updatedReplicas"),
        count("replicas"),
        count("availableReplicas"),
        count("unavailableReplicas")
    );
    sheet.field(0, "Replicas", &replicas);
    sheet.field(0, "StrategyType", &plain(&spec["strategy"]["type"]));
    sheet.field(
        0,
        "MinReadySeconds",
        &spec["minReadySeconds"].as_i64().unwrap_or(0).to_string(),
    );
    let rolling = &spec["strategy"]["rollingUpdate"];
    if rolling.is_object() {
        let text = format!(
            "{} max unavailable, {} max surge",
            plain(&rolling["maxUnavailable"]),
            plain(&rolling["maxSurge"])
        );
        sheet.field(0, "RollingUpdateStrategy", &text);
    }
    template::describe(sheet, &spec["template"]);
    conditions(sheet, object);
    if !replica_sets.is_empty() {
        let (new, old): (Vec<&Value>, Vec<&Value>) = replica_sets.iter().partition(|set| is_of(set, spec));
        for (label, sets) in [("OldReplicaSets", old), ("NewReplicaSet", new)] {
            let shown = |set: &&Value| {
                let (now, wanted) = (&set["status"]["replicas"], &set["spec"]["replicas"]);
                let number = |value: &Value| value.as_i64().unwrap_or(0);
                let name = plain(&set["metadata"]["name"]);
                format!("{name} ({}/{} replicas created)", number(now), number(wanted))
            };
            let texts: Vec<String> = sets.iter().map(shown).collect();
            sheet.field(0, label, &none_or(texts.join(", ")));
        }
    }
}

/// Whether a replica set has the template of the deployment; its own hash is no part of that.
fn is_of(replica_set: &Value, spec: &Value) -> bool {
    let mut template = replica_set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template == spec["template"]
}

pub fn replica_set(sheet: &mut Sheet, object: &Value, pods: &[Value]) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    // Replication controllers have the labels alone.
    let selected = if object["kind"] == "ReplicationController" {
        table::labels(&spec["selector"])
    } else {
        selector(&spec["selector"])
    };
    sheet.field(0, "Selector", &selected);
    sheet.labels_and_annotations(object);
    controller(sheet, object);
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let replicas = format!(
        "{} current / {} desired",
        number(&status["replicas"]),
        number(&spec["replicas"])
    );
    sheet.field(0, "Replicas", &replicas);
    sheet.field(0, "Pods Status", &pods_status(pods));
    template::describe(sheet, &spec["template"]);
    conditions(sheet, object);
}

pub fn stateful_set(sheet: &mut Sheet, object: &Value, pods: &[Value]) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.field(0, "CreationTimestamp", &date(&object["metadata"]["creationTimestamp"]));
    sheet.field(0, "Selector", &selector(&spec["selector"]));
    sheet.labels_and_annotations(object);
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let replicas = format!(
        "{} desired | {} total",
        number(&spec["replicas"]),
        number(&status["replicas"])
    );
    sheet.field(0, "Replicas", &replicas);
    sheet.field(0, "Update Strategy", &plain(&spec["updateStrategy"]["type"]));
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    if !rolling["partition"].is_null() {
        sheet.field(1, "Partition", &plain(&rolling["partition"]));
        sheet.field_if(1, "MaxUnavailable", &rolling["maxUnavailable"]);
    }
    sheet.field(0, "Pods Status", &pods_status(pods));
    template::describe(sheet, &spec["template"]);
    let claims = items(&spec["volumeClaimTemplates"]);
    if claims.is_empty() {
        sheet.field(0, "Volume Claims", "<none>");
        return;
    }
    sheet.line(0, "Volume Claims:");
    for claim in claims {
        sheet.field(1, "Name", &plain(&claim["metadata"]["name"]));
        sheet.field(1, "StorageClass", &plain(&claim["spec"]["storageClassName"]));
        sheet.map("  Labels", &claim["metadata"]["labels"], &[]);
        sheet.map("  Annotations", &claim["metadata"]["annotations"], &[LAST_APPLIED]);
        let capacity = &claim["spec"]["resources"]["requests"]["storage"];
        sheet.field(1, "Capacity", or(capacity, "<default>"));
        sheet.field(
            1,
            "Access Modes",
            &format!("[{}]", plain(&claim["spec"]["accessModes"])),
        );
    }
}

pub fn daemon_set(sheet: &mut Sheet, object: &Value, pods: &[Value]) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.field(0, "Selector", &selector(&spec["selector"]));
    sheet.field(
        0,
        "Node-Selector",
        &table::labels(&spec["template"]["spec"]["nodeSelector"]),
    );
    sheet.labels_and_annotations(object);
    for (label, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        (
            "Number of Nodes Scheduled with Up-to-date Pods",
            "updatedNumberScheduled",
        ),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        sheet.line(0, &format!("{label}: {}", status[field].as_i64().unwrap_or(0)));
    }
    sheet.field(0, "Pods Status", &pods_status(pods));
    template::describe(sheet, &spec["template"]);
}

pub fn job(sheet: &mut Sheet, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.field(0, "Selector", selector(&spec["selector"]).trim_start_matches("<none>"));
    sheet.labels_and_annotations(object);
    controller(sheet, object);
    sheet.field_if(0, "Parallelism", &spec["parallelism"]);
    sheet.field(0, "Completions", &unset_or(&spec["completions"]));
    for (label, field) in [
        ("Completion Mode", "completionMode"),
        ("Suspend", "suspend"),
        ("Backoff Limit", "backoffLimit"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ] {
        sheet.field_if(0, label, &spec[field]);
    }
    let (start, end) = (&status["startTime"], &status["completionTime"]);
    for (label, time) in [("Start Time", start), ("Completed At", end)] {
        if time.is_string() {
            sheet.field(0, label, &date(time));
        }
    }
    if let (Some(start), Some(Ok(end))) = (start.as_str(), end.as_str().map(str::parse)) {
        sheet.field(0, "Duration", &age::since(start, end));
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        sheet.field(0, "Active Deadline Seconds", &format!("{seconds}s"));
    }
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let ready = match status["ready"].as_i64() {
        Some(ready) => format!(" ({ready} Ready)"),
        None => String::new(),
    };
    let statuses = format!(
        "{} Active{ready} / {} Succeeded / {} Failed",
        count("active"),
        count("succeeded"),
        count("failed")
    );
    sheet.field(0, "Pods Statuses", &statuses);
    if spec["completionMode"] == "Indexed" {
        sheet.field(0, "Completed Indexes", or(&status["completedIndexes"], "<none>"));
    }
    template::describe(sheet, &spec["template"]);
}

pub fn cron_job(sheet: &mut Sheet, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.field(0, "Schedule", &plain(&spec["schedule"]));
    sheet.field(0, "Concurrency Policy", &plain(&spec["concurrencyPolicy"]));
    let suspend = spec["suspend"].as_bool().map_or("<unset>", capital);
    sheet.field(0, "Suspend", suspend);
    sheet.field_if(0, "Time Zone", &spec["timeZone"]);
    sheet.field(
        0,
        "Successful Job History Limit",
        &unset_or(&spec["successfulJobsHistoryLimit"]),
    );
    sheet.field(
        0,
        "Failed Job History Limit",
        &unset_or(&spec["failedJobsHistoryLimit"]),
    );
    let deadline = match spec["startingDeadlineSeconds"].as_i64() {
        Some(seconds) => format!("{seconds}s"),
        None => "<unset>".to_owned(),
    };
    sheet.field(0, "Starting Deadline Seconds", &deadline);
    let job = &spec["jobTemplate"]["spec"];
    let selected = if job["selector"].is_null() {
        "<unset>".to_owned()
    } else {
        selector(&job["selector"])
    };
    sheet.field(0, "Selector", &selected);
    sheet.field(0, "Parallelism", &unset_or(&job["parallelism"]));
    sheet.field(0, "Completions", &unset_or(&job["completions"]));
    if let Some(seconds) = job["activeDeadlineSeconds"].as_i64() {
        sheet.field(0, "Active Deadline Seconds", &format!("{seconds}s"));
    }
    template::describe(sheet, &job["template"]);
    let last = &status["lastScheduleTime"];
    let last = if last.is_string() {
        date(last)
    } else {
        "<unset>".to_owned()
    };
    sheet.field(0, "Last Schedule Time", &last);
    let active: Vec<String> = items(&status["active"]).iter().map(|job| plain(&job["name"])).collect();
    sheet.field(0, "Active Jobs", &none_or(active.join(", ")));
}

fn unset_or(value: &Value) -> String {
    match value {
        Value::Null => "<unset>".to_owned(),
        value => plain(value),
    }
}

fn none_or(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}
