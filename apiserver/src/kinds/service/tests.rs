use serde_json::json;

use super::*;
use crate::kinds::testing::{created, decoded, updated, with};

fn service() -> Value {
    json!({
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    })
}

#[test]
fn a_small_service_becomes_a_whole_one() {
    let object = decoded("Service", service());
    assert_eq!(
        object.at("spec"),
        Some(&json!({
            "selector": {"app": "web"}, "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]
        }))
    );
    let mut again = object.clone();
    Services.defaults(&mut again);
    assert_eq!(again, object);
    let balanced = decoded("Service", with(service(), "/spec/type", json!("LoadBalancer")));
    assert_eq!(balanced.at("spec.externalTrafficPolicy"), Some(&json!("Cluster")));
    assert_eq!(balanced.at("spec.allocateLoadBalancerNodePorts"), Some(&json!(true)));
    let sticky = decoded("Service", with(service(), "/spec/sessionAffinity", json!("ClientIP")));
    assert_eq!(
        sticky.at("spec.sessionAffinityConfig.clientIP.timeoutSeconds"),
        Some(&json!(10800))
    );
}

#[test]
fn services_break_rules_in_the_words_of_kubernetes() {
    for (pointer, value, expected) in [
        ("/spec/ports", json!([]), vec!["spec.ports: Required value"]),
        ("/spec", json!({"clusterIP": "None"}), vec![]),
        (
            "/spec/ports",
            json!([{"port": 80}, {"port": 80, "name": "a"}]),
            vec![
                "spec.ports[0].name: Required value",
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            ],
        ),
        (
            "/spec/ports/0",
            json!({"port": 0, "targetPort": "UPPER", "nodePort": 30000}),
            vec![
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: \"UPPER\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "spec.ports[0].targetPort: Invalid value: \"UPPER\": must contain at least one letter (a-z)",
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ],
        ),
        (
            "/spec/type",
            json!("External"),
            vec![
                "spec.type: Unsupported value: \"External\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ],
        ),
        (
            "/spec/type",
            json!("ExternalName"),
            vec!["spec.externalName: Required value"],
        ),
        (
            "/spec/clusterIP",
            json!("x"),
            vec![
                "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        ),
        (
            "/spec/externalTrafficPolicy",
            json!("Local"),
            vec![
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ],
        ),
        (
            "/spec/externalIPs",
            json!(["127.0.0.1"]),
            vec![
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ],
        ),
        (
            "/spec/loadBalancerSourceRanges",
            json!(["10.0.0.0/40"]),
            vec![
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0/40\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ],
        ),
    ] {
        assert_eq!(
            created("Service", with(service(), pointer, value.clone())),
            expected,
            "{pointer} {value}"
        );
    }
    let headless = with(service(), "/spec/clusterIP", json!("None"));
    assert_eq!(
        created("Service", with(headless, "/spec/type", json!("NodePort"))),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]
    );
}

#[test]
fn what_was_allocated_stays() {
    let nodes = with(service(), "/spec/type", json!("NodePort"));
    let given = with(
        with(nodes.clone(), "/spec/clusterIP", json!("10.0.0.1")),
        "/spec/ports/0/nodePort",
        json!(30000),
    );
    let (mut new, old) = (decoded("Service", nodes), decoded("Service", given));
    Services.prepare_update(&mut new, &old);
    assert_eq!(new, old);
    assert_eq!(
        updated(
            "Service",
            with(service(), "/spec/clusterIP", json!("10.0.0.1")),
            with(service(), "/spec/clusterIP", json!("10.0.0.2"))
        ),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
}

#[test]
fn tables_show_how_a_service_is_reached() {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let cells = |value: Value| Services.cells(&decoded("Service", value), now);
    let nodes = with(
        with(service(), "/spec/type", json!("NodePort")),
        "/spec/ports/0/nodePort",
        json!(30000),
    );
    assert_eq!(
        cells(with(nodes, "/spec/clusterIP", json!("10.0.0.1"))),
        [
            "s",
            "NodePort",
            "10.0.0.1",
            "<none>",
            "80:30000/TCP",
            "<unknown>",
            "app=web"
        ]
        .map(Value::from)
    );
    let balanced = with(service(), "/spec/type", json!("LoadBalancer"));
    assert_eq!(cells(balanced.clone())[3], "<pending>");
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}});
    assert_eq!(cells(with(balanced, "/status", ingress))[3], "127.0.0.1");
}
