use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kinds::testing::{created, decoded, kind, sentences, updated, with};

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}], "tolerations": [{"key": "a", "operator": "Exists"}]}
    })
}

#[test]
fn next_to_nothing_may_change() {
    const NOT: &str = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";
    for (pointer, value, expected) in [
        ("/spec/containers/0/image", json!("nginx:2"), vec![]),
        ("/metadata/labels", json!({"a": "b"}), vec![]),
        ("/spec/activeDeadlineSeconds", json!(5), vec![]),
        ("/spec/tolerations/-", json!({"key": "b", "operator": "Exists"}), vec![]),
        (
            "/spec/tolerations",
            json!([]),
            vec![
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
                    .into(),
            ],
        ),
        (
            "/spec/containers/0/name",
            json!("d"),
            vec![format!("{NOT}spec.containers[0].name: \"c\" -> \"d\"")],
        ),
        (
            "/spec/hostNetwork",
            json!(true),
            vec![format!("{NOT}spec.hostNetwork: null -> true")],
        ),
        (
            "/spec/terminationGracePeriodSeconds",
            json!(1),
            vec![format!("{NOT}spec.terminationGracePeriodSeconds: 30 -> 1")],
        ),
        (
            "/spec/containers/-",
            json!({"name": "d", "image": "x:1"}),
            vec!["spec.containers: Forbidden: pod updates may not add or remove containers".into()],
        ),
        (
            "/spec/schedulingGates",
            json!([{"name": "g"}]),
            vec![
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"
                    .into(),
            ],
        ),
    ] {
        assert_eq!(
            updated("Pod", pod(), with(pod(), pointer, value)),
            expected,
            "{pointer}"
        );
    }
    let negative = with(pod(), "/spec/terminationGracePeriodSeconds", json!(-1));
    assert_eq!(
        updated(
            "Pod",
            negative,
            with(pod(), "/spec/terminationGracePeriodSeconds", json!(1))
        ),
        Vec::<String>::new()
    );
    let later = with(pod(), "/spec/activeDeadlineSeconds", json!(9));
    assert_eq!(
        updated("Pod", with(pod(), "/spec/activeDeadlineSeconds", json!(5)), later),
        ["spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"]
    );
}

#[test]
fn a_gated_pod_can_be_narrowed() {
    let gated = with(pod(), "/spec/schedulingGates", json!([{"name": "g"}]));
    let narrowed = with(gated.clone(), "/spec/nodeSelector", json!({"disk": "ssd"}));
    assert_eq!(updated("Pod", gated.clone(), narrowed.clone()), Vec::<String>::new());
    assert_eq!(
        updated("Pod", narrowed, gated),
        ["spec.nodeSelector: Invalid value: null: only additions are allowed (no mutations or deletions)"]
    );
    assert_eq!(
        created(
            "Pod",
            with(
                with(pod(), "/spec/schedulingGates", json!([{"name": "g"}])),
                "/spec/nodeName",
                json!("n")
            )
        ),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]
    );
}

#[test]
fn the_status_belongs_to_the_status_subresource() {
    let mut created = decoded("Pod", with(pod(), "/status", json!({"phase": "Running"})));
    Pods.prepare_create(&mut created);
    assert_eq!(
        created.at("status"),
        Some(&json!({"phase": "Pending", "qosClass": "BestEffort"}))
    );

    let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let limited = with(pod(), "/spec/containers/0/resources", limits);
    let (mut limited, _) = crate::decode::object(kind("Pod"), limited).expect("a pod");
    Pods.prepare_create(&mut limited);
    assert_eq!(limited.at("status.qosClass"), Some(&json!("Guaranteed")));

    let mut new = decoded(
        "Pod",
        with(
            with(pod(), "/status", json!({"phase": "Running"})),
            "/spec/nodeName",
            json!("n"),
        ),
    );
    let mut main = new.clone();
    Pods.prepare_update(&mut main, &created);
    assert_eq!(main.at("status.phase"), Some(&json!("Pending")));
    assert_eq!(main.at("spec.nodeName"), Some(&json!("n")));
    Pods.prepare_status_update(&mut new, &created);
    assert_eq!(
        new.at("status"),
        Some(&json!({"phase": "Running", "qosClass": "BestEffort"}))
    );
    assert_eq!(new.at("spec.nodeName"), None);

    let other = decoded("Pod", with(pod(), "/status", json!({"qosClass": "Guaranteed"})));
    assert_eq!(
        sentences(&Pods.validate_status_update(&other, &created)),
        ["status.qosClass: Invalid value: \"Guaranteed\": field is immutable"]
    );
}

#[test]
fn what_has_ended_stays_so_unless_it_is_restarted() {
    let status = |state: Value| json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
    let ended = |code: i32| status(json!({"terminated": {"exitCode": code}}));
    let running = status(json!({"running": {}}));
    let refused = ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"];
    for (policy, code, expected) in [
        ("Always", 0, &[][..]),
        ("OnFailure", 1, &[]),
        ("OnFailure", 0, &refused),
        ("Never", 1, &refused),
    ] {
        let pod = with(pod(), "/spec/restartPolicy", json!(policy));
        let (old, new) = (
            decoded("Pod", with(pod.clone(), "/status", ended(code))),
            decoded("Pod", with(pod, "/status", running.clone())),
        );
        assert_eq!(
            sentences(&Pods.validate_status_update(&new, &old)),
            expected,
            "{policy} {code}"
        );
    }
}

#[test]
fn deletion_waits_only_for_a_kubelet() {
    let bound = with(pod(), "/spec/nodeName", json!("n"));
    for (pod, asked, seconds) in [
        (pod(), None, 0),
        (pod(), Some(5), 0),
        (bound.clone(), None, 30),
        (bound.clone(), Some(5), 5),
        (bound.clone(), Some(0), 0),
        (bound.clone(), Some(-1), 1),
        (with(bound, "/status", json!({"phase": "Failed"})), None, 0),
    ] {
        assert_eq!(Pods.grace_seconds(&decoded("Pod", pod), asked), Some(seconds));
    }
}

#[test]
fn pods_are_selected_by_node_and_phase() {
    let pod = decoded("Pod", with(pod(), "/spec/nodeName", json!("n")));
    for (path, text) in [
        ("spec.nodeName", "n"),
        ("status.phase", ""),
        ("spec.hostNetwork", "false"),
        ("spec.restartPolicy", "Always"),
    ] {
        assert!(Pods.fields().contains(&path));
        assert_eq!(Pods.field(&pod, path), text);
    }
}

#[test]
fn surprises_are_told() {
    let twice = with(pod(), "/spec/containers/0/env", json!([{"name": "A"}, {"name": "A"}]));
    let warnings = Pods.warnings(&decoded("Pod", with(twice, "/metadata/name", json!("a.b"))));
    assert!(
        warnings[0].starts_with("metadata.name: this is used in the Pod's hostname"),
        "{warnings:?}"
    );
    assert_eq!(
        warnings[1],
        "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply"
    );
}

proptest! {
    #[test]
    fn defaults_are_idempotent_and_keep_a_good_pod_good(spec in specs()) {
        let once = decoded("Pod", json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec}));
        let mut twice = once.clone();
        Pods.defaults(&mut twice);
        prop_assert_eq!(&twice, &once);
        prop_assert_eq!(sentences(&Pods.validate(&once)), Vec::<String>::new());
        prop_assert_eq!(sentences(&Pods.validate_update(&once, &once)), Vec::<String>::new());
    }
}

/// Good pods of many looks.
fn specs() -> impl Strategy<Value = Value> {
    let some = |values: Vec<Value>| proptest::option::of(proptest::sample::select(values));
    let container = (
        some(vec![json!([{"containerPort": 80}]), json!([{"name": "http", "containerPort": 8080, "protocol": "UDP"}])]),
        some(vec![json!({"exec": {"command": ["true"]}}), json!({"httpGet": {"port": 80}}), json!({"grpc": {"port": 1}})]),
        some(vec![json!({"limits": {"cpu": "1"}}), json!({"requests": {"memory": "1Gi"}}), json!({})]),
        some(vec![json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]), json!([{"name": "A", "value": ""}])]),
    )
        .prop_map(|(ports, probe, resources, env)| {
            json!({"name": "c", "image": "x", "ports": ports, "livenessProbe": probe, "resources": resources, "env": env})
        });
    (
        container,
        some(vec![json!([{"name": "v"}]), json!([{"name": "v", "configMap": {"name": "x"}}]), json!([{"name": "v", "hostPath": {"path": "/"}}])]),
        some(vec![json!(true), json!(false)]),
        some(vec![json!("Never"), json!("OnFailure")]),
        some(vec![json!("sa")]),
    )
        .prop_map(|(container, volumes, host_network, policy, account)| {
            json!({"containers": [container], "volumes": volumes, "hostNetwork": host_network, "restartPolicy": policy, "serviceAccountName": account})
        })
}
