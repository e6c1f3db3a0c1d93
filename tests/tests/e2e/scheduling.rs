//! The scheduler says why, and looks again when something changes.

use serde_json::json;

use crate::{SERVE, node, pod};

#[test]
fn a_pod_that_fits_nowhere_says_why_and_runs_once_it_fits() {
    let world = node();
    let nodes = world.minikctl(["get", "nodes", "-o", "name"]).ok();
    let node = nodes.trim();
    world.apply(&pod("wish", SERVE, json!({"spec": {"nodeSelector": {"disk": "ssd"}}})));
    let unscheduled = "condition=PodScheduled=false";
    world.wait("pod/wish", unscheduled);
    let why = world.value("pod/wish", "{.status.conditions[?(@.type==\"PodScheduled\")].message}");
    assert_eq!(
        why,
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    );
    let events = world
        .minikctl(["get", "events", "--field-selector", "reason=FailedScheduling"])
        .ok();
    assert!(events.contains("0/1 nodes are available"), "{events}");
    patch_node(&world, node, r#"{"metadata":{"labels":{"disk":"ssd"}}}"#);
    world.wait("pod/wish", "condition=Ready");

    world.apply(&pod(
        "huge",
        SERVE,
        json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "900"}}}]}}),
    ));
    world.wait("pod/huge", unscheduled);
    let why = world.value("pod/huge", "{.status.conditions[?(@.type==\"PodScheduled\")].message}");
    assert_eq!(why, "0/1 nodes are available: 1 Insufficient cpu.");

    patch_node(&world, node, r#"{"spec":{"unschedulable":true}}"#);
    world.apply(&pod("cordoned", SERVE, json!({})));
    world.wait("pod/cordoned", unscheduled);
    patch_node(&world, node, r#"{"spec":{"unschedulable":null}}"#);
    world.wait("pod/cordoned", "condition=Ready");
}

/// As any client of the API could.
fn patch_node(world: &minik_tests::World, node: &str, patch: &str) {
    use kube::api::{Api, Patch, PatchParams};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    runtime.block_on(async {
        let kubeconfig = kube::config::Kubeconfig::read_from(world.kubeconfig()).expect("`up` wrote the kubeconfig");
        let options = kube::config::KubeConfigOptions {
            context: Some(world.context()),
            ..Default::default()
        };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .expect("a usable kubeconfig");
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(kube::Client::try_from(config).expect("a client"));
        let patch: serde_json::Value = serde_json::from_str(patch).expect("JSON");
        let name = node.trim_start_matches("node/");
        nodes
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the node is patched");
    });
}
