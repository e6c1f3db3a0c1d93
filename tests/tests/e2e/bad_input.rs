//! What users get wrong, and what they are told.

use std::fs;

use minik_tests::World;
use serde_json::json;

use crate::{SERVE, node, pod};

#[test]
fn manifests_that_are_wrong_say_where_and_the_good_documents_are_applied() {
    let world = node();
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n";
    for (number, (bad, parts)) in [
        ("a: b: c", &["document 2"][..]),
        ("apiVersion: v1\nmetadata: {name: x}", &["kind"]),
        ("apiVersion: v1\nkind: Pot\nmetadata: {name: x}", &["Pot", "Pod"]),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {contaners: []}",
            &[r#"unknown field "spec.contaners""#],
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c}]}",
            &["spec.containers[0].image: Required value"],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}",
            &["data"],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: X_}",
            &["metadata.name: Invalid value: \"X_\""],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = world.folder().join(format!("bad-{number}.yaml"));
        fs::write(&file, format!("{good}---\n{bad}\n")).expect("the manifest is written");
        let output = world.minikctl(["apply", "-f"]).args([&file]).output();
        assert_eq!(output.code, 1, "{output}");
        assert!(
            output.stdout.contains("configmap/good"),
            "the good document is applied: {output}"
        );
        for part in parts {
            assert!(output.stderr.contains(part), "{part} is missing: {output}");
        }
        let left = world
            .minikctl([
                "get",
                "pods,configmaps",
                "--field-selector",
                "metadata.name=x",
                "-o",
                "name",
            ])
            .ok();
        assert_eq!(left, "", "nothing of the bad document is stored");
    }
}

#[test]
fn a_node_that_is_not_up_is_named_with_the_command_that_starts_it() {
    let world = World::up();
    let _ = world.minikctl(["down"]).ok();
    let refused = world.minikctl(["get", "pods"]).fails();
    assert!(refused.contains("minikctl up"), "{refused}");
    world.start();
}

#[test]
fn typing_mistakes_get_a_suggestion() {
    let world = node();
    world.apply(&pod("typed", SERVE, json!({})));
    let verb = world.minikctl(["aply", "-f", "x"]).fails();
    assert!(verb.contains("apply"), "{verb}");
    let kind = world.minikctl(["get", "pots"]).fails();
    assert!(kind.contains("pods"), "{kind}");
    let flag = world.minikctl(["get", "pods", "--namespce", "x"]).fails();
    assert!(flag.contains("--namespace"), "{flag}");
}
