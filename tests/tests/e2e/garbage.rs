//! What the controllers tend: objects whose owners are gone, owners that wait for what they own, namespaces that empty
//! themselves.

use minik_tests::World;
use serde_json::json;

use crate::{SERVE, node, pod};

/// A config map that is owned by another, by its name and uid.
fn owned(world: &World, name: &str, owner: &str) -> String {
    let uid = world.value(&format!("configmap/{owner}"), "{.metadata.uid}");
    let owners =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true}]);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}}).to_string()
}

fn config_map(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

#[test]
fn what_is_owned_goes_with_its_owner_or_stays_as_asked() {
    let world = World::up();
    for owner in ["background", "foreground", "orphan"] {
        world.apply(&config_map(owner));
        world.apply(&owned(&world, &format!("{owner}-child"), owner));
        world.apply(&owned(
            &world,
            &format!("{owner}-grandchild"),
            &format!("{owner}-child"),
        ));
        let cascade = format!("--cascade={owner}");
        let _ = world.minikctl(["delete", "configmap", owner, &cascade]).ok();
    }
    for gone in ["background-grandchild", "foreground-grandchild", "foreground-child"] {
        world.wait(&format!("configmap/{gone}"), "delete");
    }
    // It was let go before its owner went, and what it owns is as it was.
    assert_eq!(world.value("configmap/orphan-child", "{.metadata.ownerReferences}"), "");
    assert_eq!(
        world.value("configmap/orphan-grandchild", "{.metadata.ownerReferences[0].name}"),
        "orphan-child"
    );
}

#[test]
fn a_namespace_empties_itself_and_says_what_holds_it_up() {
    let world = node();
    let _ = world.minikctl(["create", "namespace", "full"]).ok();
    let mut running = pod("web", SERVE, json!({}));
    running = running.replacen("\"metadata\":{", "\"metadata\":{\"namespace\":\"full\",", 1);
    world.apply(&running);
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "full", "finalizers": ["example.com/hold"]}});
    world.apply(&held.to_string());
    let _ = world.minikctl(["delete", "namespace", "full", "--wait=false"]).ok();
    let remaining = |kind: &str| format!("jsonpath={{.status.conditions[?(@.type=='{kind}')].message}}");
    let says = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
    world.wait(
        "namespace/full",
        &format!("{}={says}", remaining("NamespaceFinalizersRemaining")),
    );
    let says = "Some resources are remaining: configmaps. has 1 resource instances";
    world.wait(
        "namespace/full",
        &format!("{}={says}", remaining("NamespaceContentRemaining")),
    );
    let free = [
        "patch",
        "configmap",
        "held",
        "-n",
        "full",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ];
    let _ = world.minikctl(free).ok();
    world.wait("namespace/full", "delete");
}
