//! Each filter's reason, in Kubernetes' words, and what makes one node better than another.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn node(name: &str, change: Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}},
    });
    json_patch::merge(&mut node, &change);
    node
}

fn pod(name: &str, spec: Value) -> Pod {
    let mut whole = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c"}]},
    });
    json_patch::merge(&mut whole["spec"], &spec);
    serde_json::from_value(whole).expect("a pod")
}

fn snapshot(nodes: &[Value], placed: &[(Pod, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.node(&serde_json::from_value(node.clone()).expect("a node"));
    }
    for (pod, node) in placed {
        snapshot.place(pod, node);
    }
    snapshot
}

fn requests(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

fn host_port(port: i32) -> Value {
    json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": port}]}]})
}

fn affinity(operator: &str, values: &[&str]) -> Value {
    let expression = json!({"key": "disk", "operator": operator, "values": values});
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}})
}

#[test]
fn each_filter_says_why_in_kubernetes_words() {
    let tainted = json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}});
    let ssd = json!({"metadata": {"labels": {"disk": "ssd"}}});
    let rows = [
        (json!({}), requests("3"), "1 Insufficient cpu."),
        (
            json!({"status": {"allocatable": {"pods": "0"}}}),
            json!({}),
            "1 Too many pods.",
        ),
        (
            json!({"spec": {"unschedulable": true}}),
            json!({}),
            "1 node(s) were unschedulable.",
        ),
        (
            tainted.clone(),
            json!({}),
            "1 node(s) had untolerated taint {gpu: yes}.",
        ),
        (
            json!({}),
            json!({"nodeName": "other"}),
            "1 node(s) didn't match the requested node name.",
        ),
        (
            json!({}),
            json!({"nodeSelector": {"disk": "ssd"}}),
            "1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            ssd.clone(),
            affinity("NotIn", &["ssd"]),
            "1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            ssd.clone(),
            affinity("DoesNotExist", &[]),
            "1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            json!({"status": {"allocatable": {"pods": "0"}}}),
            requests("3"),
            "1 Insufficient cpu, 1 Too many pods.",
        ),
    ];
    for (change, spec, why) in rows {
        let decision = decide(&pod("p", spec.clone()), &snapshot(&[node("n", change)], &[]));
        assert_eq!(
            decision,
            Decision::Unschedulable(format!("0/1 nodes are available: {why}")),
            "{spec}"
        );
    }
    for (change, spec) in [
        (json!({}), json!({})),
        (
            tainted.clone(),
            json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}),
        ),
        (tainted.clone(), json!({"tolerations": [{"operator": "Exists"}]})),
        (
            tainted,
            json!({"tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}),
        ),
        (
            json!({"spec": {"unschedulable": true}}),
            json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}),
        ),
        (ssd.clone(), json!({"nodeSelector": {"disk": "ssd"}})),
        (ssd, affinity("In", &["hdd", "ssd"])),
    ] {
        let decision = decide(&pod("p", spec.clone()), &snapshot(&[node("n", change)], &[]));
        assert_eq!(decision, Decision::Bind("n".into()), "{spec}");
    }
}

#[test]
fn what_other_pods_have_taken_is_gone() {
    let first = pod("first", requests("1500m"));
    let full = snapshot(&[node("n", json!({}))], &[(first, "n")]);
    assert_eq!(
        decide(&pod("p", requests("600m")), &full),
        Decision::Unschedulable("0/1 nodes are available: 1 Insufficient cpu.".into())
    );
    assert_eq!(decide(&pod("p", requests("500m")), &full), Decision::Bind("n".into()));
    let taken = snapshot(&[node("n", json!({}))], &[(pod("first", host_port(8080)), "n")]);
    assert_eq!(
        decide(&pod("p", host_port(8080)), &taken),
        Decision::Unschedulable(
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.".into()
        )
    );
    assert_eq!(decide(&pod("p", host_port(8081)), &taken), Decision::Bind("n".into()));
}

#[test]
fn without_nodes_there_is_nothing_to_count() {
    let none = decide(&pod("p", json!({})), &Snapshot::default());
    assert_eq!(
        none,
        Decision::Unschedulable("no nodes available to schedule pods".into())
    );
}

#[test]
fn the_better_node_is_chosen() {
    let soft = json!({"spec": {"taints": [{"key": "old", "effect": "PreferNoSchedule"}]}});
    let image = json!({"status": {"images": [{"names": ["nginx:stable"], "sizeBytes": 100_000_000}]}});
    let wish = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 10, "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}}]}}});
    let rows = [
        (
            "soft taint",
            vec![node("a", soft), node("b", json!({}))],
            json!({}),
            vec![],
        ),
        ("wish", vec![node("a", json!({})), node("b", json!({}))], wish, vec![]),
        (
            "room",
            vec![node("a", json!({})), node("b", json!({}))],
            json!({}),
            vec![(pod("x", requests("1")), "a")],
        ),
        (
            "image",
            vec![node("a", json!({})), node("b", image)],
            json!({"containers": [{"name": "c", "image": "nginx:stable"}]}),
            vec![],
        ),
    ];
    for (what, nodes, spec, placed) in rows {
        assert_eq!(
            decide(&pod("p", spec), &snapshot(&nodes, &placed)),
            Decision::Bind("b".into()),
            "{what}"
        );
    }
}

proptest! {
    /// Whatever pods come, no node is ever given more than it has.
    #[test]
    fn no_node_is_overcommitted(cpus in prop::collection::vec(1..2500i64, 1..30)) {
        let mut cluster = snapshot(&[node("a", json!({})), node("b", json!({}))], &[]);
        for (index, cpu) in cpus.iter().enumerate() {
            let pod = pod(&format!("p{index}"), requests(&format!("{cpu}m")));
            if let Decision::Bind(node) = decide(&pod, &cluster) {
                cluster.place(&pod, &node);
            }
        }
        for candidate in cluster.candidates() {
            prop_assert!(candidate.taken.amounts.get("cpu") <= 2000);
            prop_assert!(candidate.taken.pods <= 10);
        }
    }
}
