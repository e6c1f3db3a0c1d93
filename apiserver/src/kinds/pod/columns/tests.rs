use serde_json::json;

use super::*;
use k8s_openapi::api::core::v1::Pod;

fn cells_of(pod: Value) -> Vec<Value> {
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a time");
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    cells(
        &pod.metadata,
        &pod.spec.unwrap_or_default(),
        &pod.status.unwrap_or_default(),
        now,
    )
}

/// The cells READY, STATUS and RESTARTS of a pod with these init containers, containers and status.
fn shown(spec: &Value, metadata: &Value, status: &Value) -> [String; 3] {
    let cells = cells_of(json!({"metadata": metadata, "spec": spec, "status": status}));
    [1, 2, 3].map(|index| cells[index].as_str().expect("text").to_owned())
}

#[test]
fn one_word_says_how_a_pod_is_doing() {
    let two = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let init = json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]});
    let running = |name: &str| json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {}}});
    let ended = |name: &str, code: i32, reason: &str| json!({"name": name, "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason}}});
    let waiting = |name: &str, reason: &str| {
        json!({"name": name, "restartCount": 3, "state": {"waiting": {"reason": reason}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:08:00Z"}}})
    };
    let none = json!({});
    let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let ready = json!([{"type": "Ready", "status": "True"}]);
    for (spec, metadata, status, expected) in [
        (&two, &none, json!({"phase": "Pending"}), ["0/2", "Pending", "0"]),
        (
            &two,
            &none,
            json!({"phase": "Running", "containerStatuses": [running("a"), running("b")]}),
            ["2/2", "Running", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Running", "containerStatuses": [waiting("a", "CrashLoopBackOff"), running("b")]}),
            ["1/2", "CrashLoopBackOff", "3 (2m ago)"],
        ),
        (
            &two,
            &deleted,
            json!({"phase": "Running", "containerStatuses": [running("a")]}),
            ["1/2", "Terminating", "0"],
        ),
        (
            &two,
            &deleted,
            json!({"phase": "Failed", "reason": "Evicted"}),
            ["0/2", "Evicted", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Succeeded", "containerStatuses": [ended("a", 0, "Completed"), ended("b", 0, "Completed")]}),
            ["0/2", "Completed", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Running", "conditions": ready, "containerStatuses": [ended("a", 0, "Completed"), running("b")]}),
            ["1/2", "Running", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Running", "containerStatuses": [ended("a", 0, "Completed"), running("b")]}),
            ["1/2", "NotReady", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Failed", "containerStatuses": [ended("a", 3, "")]}),
            ["0/2", "ExitCode:3", "0"],
        ),
        (
            &two,
            &none,
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
            ["0/2", "SchedulingGated", "0"],
        ),
        (
            &init,
            &none,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 0, "state": {"running": {}}}]}),
            ["0/2", "Init:0/2", "0"],
        ),
        (
            &init,
            &none,
            json!({"phase": "Pending", "initContainerStatuses": [waiting("i", "ErrImagePull")]}),
            ["0/2", "Init:ErrImagePull", "3 (2m ago)"],
        ),
        (
            &init,
            &none,
            json!({"phase": "Pending", "initContainerStatuses": [ended("i", 1, "Error")]}),
            ["0/2", "Init:Error", "0"],
        ),
        (
            &init,
            &none,
            json!({"phase": "Running", "containerStatuses": [running("a")], "initContainerStatuses": [
                ended("i", 0, "Completed"),
                {"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}}
            ]}),
            ["2/2", "Running", "1"],
        ),
    ] {
        assert_eq!(shown(spec, metadata, &status), expected, "{status}");
    }
}

#[test]
fn wide_cells_say_none_when_nothing_is_there() {
    assert_eq!(
        cells_of(json!({"spec": {}}))[4..],
        ["<unknown>", "<none>", "<none>", "<none>", "<none>"].map(Value::from)
    );
    assert_eq!(
        cells_of(json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:06:40Z"},
            "spec": {"nodeName": "n", "readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}]},
            "status": {"podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "y", "status": "True"}]}
        }))[4..],
        ["3m20s", "10.0.0.1", "n", "<none>", "1/2"].map(Value::from)
    );
    assert_eq!(COLUMNS.len(), 9);
}
