use serde_json::{Value, json};

use crate::kinds::testing::{cells, created, decoded, updated, with};

const KIND: &str = "HorizontalPodAutoscaler";

fn autoscaler() -> Value {
    json!({"metadata": {"name": "h", "namespace": "default"}, "spec": {"maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}})
}

#[test]
fn a_small_autoscaler_becomes_a_whole_one() {
    let whole = decoded(
        KIND,
        with(
            autoscaler(),
            "/spec/behavior",
            json!({"scaleDown": {"selectPolicy": "Min"}}),
        ),
    );
    assert_eq!(whole.at("spec.minReplicas"), Some(&json!(1)));
    assert_eq!(
        whole.at("spec.metrics"),
        Some(&json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}}]))
    );
    assert_eq!(
        whole.at("spec.behavior"),
        Some(&json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}}))
    );
    assert_eq!(created(KIND, autoscaler()), Vec::<String>::new());
}

#[test]
fn autoscalers_break_rules_in_the_words_of_kubernetes() {
    let metric = |metric: Value| json!([metric]);
    for (pointer, value, expected) in [
        (
            "/spec/minReplicas",
            json!(0),
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1; spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        ),
        (
            "/spec/minReplicas",
            json!(4),
            "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
        ),
        (
            "/spec/maxReplicas",
            json!(0),
            "spec.maxReplicas: Invalid value: 0: must be greater than 0; spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
        ),
        (
            "/spec/scaleTargetRef/name",
            json!(""),
            "spec.scaleTargetRef.name: Required value",
        ),
        (
            "/spec/scaleTargetRef/kind",
            json!("a/b"),
            "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
        ),
        (
            "/spec/metrics",
            metric(json!({"type": "Resource"})),
            "spec.metrics[0].resource: Required value: must populate information for the given metric source",
        ),
        (
            "/spec/metrics",
            metric(json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}})),
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        ),
        (
            "/spec/metrics",
            metric(
                json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "0"}}}),
            ),
            "spec.metrics[0].pods.target.averageValue: Invalid value: \"0\": must be positive; spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue",
        ),
        (
            "/spec/behavior",
            json!({"scaleUp": {"stabilizationWindowSeconds": 4000}}),
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600",
        ),
        (
            "/spec/behavior",
            json!({"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 2000}]}}),
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero; spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800",
        ),
    ] {
        assert_eq!(
            created(KIND, with(autoscaler(), pointer, value)).join("; "),
            expected,
            "{pointer}"
        );
    }
}

#[test]
fn what_was_scaled_to_zero_may_stay_there() {
    let mut zero = with(autoscaler(), "/spec/minReplicas", json!(0));
    zero["spec"]["metrics"] =
        json!([{"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}]);
    assert_eq!(updated(KIND, zero.clone(), zero.clone()), Vec::<String>::new());
    assert_eq!(updated(KIND, autoscaler(), zero).len(), 1);
}

#[test]
fn tables_show_the_load() {
    assert_eq!(
        cells(KIND, autoscaler()),
        ["h", "Deployment/d", "cpu: <unknown>/80%", "1", "3", "0", "<unknown>"]
    );
    let mut busy = autoscaler();
    busy["spec"]["metrics"] = json!([
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        {"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
        {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}}}]);
    busy["status"] = json!({"currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "2Gi"}}}]});
    assert_eq!(cells(KIND, busy)[2], "memory: 2Gi/1Gi, <unknown>/5 (avg) + 1 more...");
}
