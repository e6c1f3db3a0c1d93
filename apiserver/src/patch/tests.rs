//! Strategic merge is proved against upstream's own code, which `kubectl patch --local` runs. That comparison is a test run
//! by hand (it needs a kubectl); the cases that it captured are a table, and every test run goes through it.

use std::io::Write;
use std::process::Command;

use minik_api::kinds;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;

const CAPTURED: &str = include_str!("tests/captured.json");
const CASES: usize = 600;

/// An object, a patch, and what upstream makes of it; nothing when it refuses.
#[derive(Serialize, Deserialize)]
struct Case {
    object: Value,
    patch: Value,
    result: Option<Value>,
}

fn pod() -> &'static Kind {
    kinds::of("", "v1", "Pod").expect("pods are served")
}

fn ours(case: &Case) -> Option<Value> {
    strategic(pod(), &case.object, case.patch.to_string().as_bytes()).ok()
}

#[test]
fn captured_cases_merge_as_upstream() {
    let cases: Vec<Case> = serde_json::from_str(CAPTURED).expect("the table is JSON");
    assert!(cases.len() > 100, "the table is there");
    for case in &cases {
        assert_eq!(ours(case), case.result, "{} patched with {}", case.object, case.patch);
    }
}

/// By hand: `cargo test -p minik-apiserver agrees_with_kubectl -- --ignored`; with MINIK_CAPTURE=FILE the first cases are
/// written there as the new table.
#[test]
#[ignore = "runs kubectl 600 times; by hand, after changes of the merge"]
fn agrees_with_kubectl() {
    let mut runner = TestRunner::deterministic();
    let directory = tempfile::tempdir().expect("a directory for the objects");
    let mut captured = Vec::new();
    for _ in 0..CASES {
        let (object, patch) = (objects(), patches()).new_tree(&mut runner).expect("a case").current();
        let result = kubectl(directory.path(), &object, &patch);
        let case = Case { object, patch, result };
        assert_eq!(ours(&case), case.result, "{} patched with {}", case.object, case.patch);
        captured.push(case);
    }
    if let Ok(file) = std::env::var("MINIK_CAPTURE") {
        let lines: Vec<String> = captured[..200]
            .iter()
            .map(|case| serde_json::to_string(case).expect("JSON"))
            .collect();
        std::fs::write(file, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the table is written");
    }
}

fn kubectl(directory: &std::path::Path, object: &Value, patch: &Value) -> Option<Value> {
    let file = directory.join("object.json");
    let mut out = std::fs::File::create(&file).expect("a file for the object");
    write!(out, "{object}").expect("the object is written");
    let output = Command::new("kubectl")
        .args([
            "patch",
            "--local",
            "--type",
            "strategic",
            "-o",
            "json",
            "-p",
            &patch.to_string(),
            "-f",
        ])
        .arg(&file)
        .output()
        .expect("this test needs kubectl on the PATH");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || told.contains("error"), "{told}");
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).expect("kubectl writes JSON"))
}

/// A pod with some of everything that merges in its own way.
fn objects() -> impl Strategy<Value = Value> {
    let finalizers = proptest::sample::subsequence(vec!["x/a", "x/b", "x/c", "x/d"], 0..4).prop_shuffle();
    let volumes = proptest::sample::subsequence(vec!["u", "v", "w"], 0..3).prop_map(|names| {
        names
            .into_iter()
            .map(|name| json!({"name": name, "emptyDir": {"medium": "Memory"}}))
            .collect::<Vec<_>>()
    });
    (finalizers, containers(false), volumes, labels(), any::<bool>()).prop_map(
        |(finalizers, containers, volumes, labels, tolerate)| {
            let tolerations = if tolerate { json!([{"key": "a"}, {"key": "b"}]) } else { json!([]) };
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "finalizers": finalizers, "labels": labels},
                "spec": {
                    "containers": containers, "volumes": volumes, "nodeSelector": {"q": "r"}, "tolerations": tolerations,
                    "imagePullSecrets": [{"name": "s"}, {"name": "t"}]
                }
            })
        },
    )
}

fn labels() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-c]", "[0-9]", 0..3).prop_map(|labels| json!(labels))
}

fn containers(directed: bool) -> impl Strategy<Value = Vec<Value>> {
    let names = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle();
    (
        names,
        proptest::collection::vec((0..3u8, env(), ports(), directives()), 3),
    )
        .prop_map(move |(names, parts)| {
            let items = names
                .into_iter()
                .zip(parts)
                .map(|(name, (image, env, ports, directive))| {
                    let mut item = json!({"name": name, "env": env, "ports": ports});
                    if image > 0 {
                        item["image"] = format!("{image}").into();
                    }
                    if directed {
                        direct(&mut item, directive);
                    }
                    item
                });
            items.collect()
        })
}

fn env() -> impl Strategy<Value = Value> {
    let names = proptest::sample::subsequence(vec!["X", "Y", "Z"], 0..=2).prop_shuffle();
    (names, 0..3u8).prop_map(|(names, value)| {
        names
            .into_iter()
            .map(|name| json!({"name": name, "value": format!("{value}")}))
            .collect::<Vec<_>>()
            .into()
    })
}

fn ports() -> impl Strategy<Value = Value> {
    let numbers = proptest::sample::subsequence(vec![80, 81, 82], 0..=2).prop_shuffle();
    numbers.prop_map(|numbers| {
        numbers
            .into_iter()
            .map(|port| json!({"containerPort": port}))
            .collect::<Vec<_>>()
            .into()
    })
}

/// Mostly none.
fn directives() -> impl Strategy<Value = Option<Value>> {
    proptest::sample::select(vec![
        None,
        None,
        None,
        None,
        Some(json!("delete")),
        Some(json!("replace")),
        Some(json!("merge")),
        Some(json!("nonsense")),
    ])
}

fn direct(item: &mut Value, directive: Option<Value>) {
    if let Some(directive) = directive {
        item["$patch"] = directive;
    }
}

fn patches() -> impl Strategy<Value = Value> {
    let order = proptest::option::of(proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle());
    // What is added isn't also deleted: upstream's answer to that depends on the order of a Go map.
    let finalizers = |from: &[&'static str]| {
        let most = from.len();
        proptest::option::of(proptest::sample::subsequence(from.to_vec(), 0..=most))
    };
    let (add, delete) = (finalizers(&["x/b", "x/e"]), finalizers(&["x/a", "x/c"]));
    let all = finalizers(&["x/b", "x/a", "x/e"]);
    let spec = (containers(true), order, volumes(), selectors(), any::<(bool, bool)>()).prop_map(
        |(containers, order, volumes, selector, (tolerate, no_secrets))| {
            let mut spec = json!({"containers": containers, "volumes": volumes});
            if let Some(order) = order {
                let order: Vec<Value> = order.into_iter().map(|name| json!({"name": name})).collect();
                spec["$setElementOrder/containers"] = order.into();
            }
            if let Some(selector) = selector {
                spec["nodeSelector"] = selector;
            }
            if tolerate {
                spec["tolerations"] = json!([{"key": "c"}]);
            }
            if no_secrets {
                spec["imagePullSecrets"] = Value::Null;
            }
            spec
        },
    );
    let metadata = (add, delete, all, labels()).prop_map(|(add, delete, order, labels)| {
        let mut metadata = json!({"labels": labels});
        for (key, list) in [
            ("finalizers", add),
            ("$deleteFromPrimitiveList/finalizers", delete),
            ("$setElementOrder/finalizers", order),
        ] {
            if let Some(list) = list {
                metadata[key] = json!(list);
            }
        }
        metadata
    });
    (
        proptest::option::weighted(0.7, metadata),
        proptest::option::weighted(0.8, spec),
    )
        .prop_map(|(metadata, spec)| {
            let mut patch = json!({});
            if let Some(metadata) = metadata {
                patch["metadata"] = metadata;
            }
            if let Some(spec) = spec {
                patch["spec"] = spec;
            }
            patch
        })
}

fn volumes() -> impl Strategy<Value = Value> {
    let item =
        (proptest::sample::select(vec!["u", "v", "x"]), 0..4u8, directives()).prop_map(|(name, form, directive)| {
            let mut item = match form {
                0 => json!({"name": name}),
                1 => json!({"name": name, "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}),
                2 => json!({"name": name, "$retainKeys": ["name"], "hostPath": {"path": "/"}}),
                _ => json!({"name": name, "emptyDir": null, "hostPath": {"path": "/", "type": null}}),
            };
            direct(&mut item, directive);
            item
        });
    proptest::collection::vec(item, 0..2).prop_map(Value::from)
}

fn selectors() -> impl Strategy<Value = Option<Value>> {
    proptest::sample::select(vec![
        None,
        Some(Value::Null),
        Some(json!({"q": null, "z": "1"})),
        Some(json!({"$patch": "replace", "z": "1"})),
        Some(json!({"$patch": "delete"})),
        Some(json!({"z": null})),
    ])
}

#[test]
fn lists_merge_by_key_and_maps_by_field() {
    let object = json!({"spec": {
        "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}],
        "tolerations": [{"key": "a"}],
        "nodeSelector": {"q": "r"}
    }});
    let patch = json!({"spec": {
        "containers": [{"name": "b", "image": "3"}, {"name": "a", "$patch": "delete"}],
        "tolerations": [{"key": "b"}],
        "nodeSelector": {"s": "t"}
    }});
    let expected = json!({"spec": {
        "containers": [{"name": "b", "image": "3"}],
        "tolerations": [{"key": "b"}],
        "nodeSelector": {"q": "r", "s": "t"}
    }});
    assert_eq!(
        strategic(pod(), &object, patch.to_string().as_bytes()).expect("a patch"),
        expected
    );
}

#[test]
fn misused_patches_are_bad_requests() {
    let object = json!({"spec": {"containers": [{"name": "a"}], "nope": {}}});
    for (patch, message) in [
        (
            "[]",
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        ("{", "unexpected end of JSON input"),
        (
            r#"{"spec": {"containers": [{"image": "x"}]}}"#,
            "map: {\"image\":\"x\"} does not contain declared merge key: name",
        ),
        (
            r#"{"spec": {"$patch": "x"}}"#,
            "unknown patch type: \"x\" in map: {\"$patch\":\"x\"}",
        ),
        (r#"{"spec": {"nope": {}}}"#, "unable to find api field nope in PodSpec"),
        (
            r#"{"spec": {"$setElementOrder/containers": 1}}"#,
            "expected a []interface {}, but received a int64",
        ),
    ] {
        let status = strategic(pod(), &object, patch.as_bytes()).expect_err(patch);
        assert_eq!((status.code, status.message.as_str()), (400, message));
    }
}

#[test]
fn json_patches_do_all_or_nothing() {
    let object = json!({"a": [1, 2], "b": {"c": 1}});
    let patch = br#"[{"op": "test", "path": "/b/c", "value": 1}, {"op": "remove", "path": "/a/0"}, {"op": "add", "path": "/a/-", "value": 3}]"#;
    assert_eq!(
        json(&object, patch).expect("a patch"),
        json!({"a": [2, 3], "b": {"c": 1}})
    );
    for (patch, code) in [
        (r#"[{"op": "test", "path": "/b/c", "value": 2}]"#, 422),
        (r#"[{"op": "remove", "path": "/x"}]"#, 422),
        (r#"[{"op": "fly", "path": "/x"}]"#, 400),
        ("{}", 400),
    ] {
        assert_eq!(json(&object, patch.as_bytes()).expect_err(patch).code, code, "{patch}");
    }
    let long = format!(
        "[{}]",
        vec![r#"{"op": "test", "path": "/b/c", "value": 1}"#; OPERATIONS_MAX + 1].join(",")
    );
    assert_eq!(json(&object, long.as_bytes()).expect_err("too long").code, 413);
}

#[test]
fn a_small_patch_makes_no_large_document() {
    let object = json!({"a": {"b": "x".repeat(1000)}});
    let double = r#"{"op": "copy", "from": "/a", "path": "/a/c"}, {"op": "copy", "from": "/a", "path": "/a/d"}"#;
    let patch = format!("[{}]", vec![double; 50].join(","));
    let status = json(&object, patch.as_bytes()).expect_err("too much");
    assert_eq!(status.code, 422);
    assert!(
        status
            .message
            .ends_with("what it copies comes to more than 3145728 bytes"),
        "{}",
        status.message
    );
}

#[test]
fn json_patches_cannot_dig_without_end() {
    let grow = |step: &str, times: usize| {
        let patch = format!("[{}]", vec![step; times].join(","));
        json(&json!({"a": {}}), patch.as_bytes())
    };
    let deeper = r#"{"op": "add", "path": "/n", "value": {}}, {"op": "move", "from": "/a", "path": "/n/x"},
        {"op": "move", "from": "/n", "path": "/a"}"#;
    assert!(grow(deeper, 5).is_ok());
    let status = grow(deeper, 200).expect_err("too deep");
    assert_eq!(status.code, 422);
    assert!(
        status.message.ends_with("nested more than 120 levels deep"),
        "{}",
        status.message
    );
    let path = "/a".repeat(121);
    let status = grow(&format!(r#"{{"op": "add", "path": "{path}", "value": {{}}}}"#), 1);
    assert_eq!(status.expect_err("too deep").code, 422);
}

#[test]
fn merge_patches_replace_lists_and_drop_nulls() {
    let object = json!({"a": [1, 2], "b": {"c": 1, "d": 2}});
    let patch = br#"{"a": [3], "b": {"c": null, "e": {"f": null}}}"#;
    assert_eq!(
        merge(&object, patch).expect("a patch"),
        json!({"a": [3], "b": {"d": 2, "e": {}}})
    );
    assert_eq!(merge(&object, b"[]").expect_err("no object").code, 400);
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]
    #[test]
    fn no_patch_panics(object in objects(), patch in patches(), text in "[\\[\\]{}:,\"a$/0 ]{0,30}") {
        let _ = strategic(pod(), &object, patch.to_string().as_bytes());
        let _ = (strategic(pod(), &object, text.as_bytes()), json(&object, text.as_bytes()), merge(&object, text.as_bytes()));
    }
}
