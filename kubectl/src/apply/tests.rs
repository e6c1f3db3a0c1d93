use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
}

/// What the server has after a first apply of `manifest`, with what others added.
fn applied(manifest: &Value, others: Value) -> Value {
    let mut current = annotated(manifest);
    json_patch::merge(&mut current, &others);
    current
}

/// The patch without the bookkeeping annotation.
fn difference(manifest: &Value, current: &Value) -> Value {
    let mut body = patch(manifest, current).body;
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("annotations");
        if metadata.is_empty() {
            body.as_object_mut().expect("a patch is an object").remove("metadata");
        }
    }
    body
}

#[test]
fn the_manifest_remembers_itself() {
    let object = annotated(&pod(json!({})));
    let text = object["metadata"]["annotations"][LAST_APPLIED].as_str().expect("there");
    assert!(text.ends_with("}\n"));
    assert_eq!(
        last_applied(&object).expect("readable")["metadata"],
        json!({"name": "a", "annotations": {}})
    );
    assert_eq!(annotated(&object), object, "the annotation does not remember itself");
}

#[test]
fn nothing_changed_is_an_empty_patch() {
    let manifest =
        pod(json!({"containers": [{"name": "c", "image": "nginx"}], "volumes": [{"name": "v", "emptyDir": {}}]}));
    let current = applied(
        &manifest,
        json!({"metadata": {"uid": "1"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}),
    );
    assert!(patch(&manifest, &current).is_empty());
}

#[test]
fn each_rule_gives_its_patch() {
    let cases = [
        (
            "a changed image is a change of that container alone",
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
            json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b", "image": "2"}]}),
        ),
        (
            "a dropped container is deleted by its name",
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a"}]}),
            json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"$patch": "delete", "name": "b"}]}),
        ),
        (
            "a dropped field is null",
            json!({"nodeName": "n", "hostNetwork": true}),
            json!({"nodeName": "n"}),
            json!({"hostNetwork": null}),
        ),
        (
            "a volume of another source clears the old source",
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
            json!({"$setElementOrder/volumes": [{"name": "v"}],
                   "volumes": [{"name": "v", "hostPath": {"path": "/x"}, "emptyDir": null, "$retainKeys": ["hostPath", "name"]}]}),
        ),
        (
            "a list without a key is replaced as a whole",
            json!({"tolerations": [{"key": "a"}, {"key": "b"}]}),
            json!({"tolerations": [{"key": "b"}]}),
            json!({"tolerations": [{"key": "b"}]}),
        ),
        (
            "another order is said",
            json!({"hostAliases": [{"ip": "1"}, {"ip": "2"}]}),
            json!({"hostAliases": [{"ip": "2"}, {"ip": "1"}]}),
            json!({"$setElementOrder/hostAliases": [{"ip": "2"}, {"ip": "1"}]}),
        ),
        (
            "ports that share a number are replaced as a whole",
            json!({"containers": [{"name": "c", "ports": [{"containerPort": 53, "protocol": "TCP"}]}]}),
            json!({"containers": [{"name": "c", "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}]}),
            json!({"$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "c", "ports": [{"$patch": "replace"},
                   {"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}]}),
        ),
    ];
    for (rule, before, after, expected) in cases {
        let current = applied(&pod(before), json!({}));
        let patch = difference(&pod(after), &current);
        assert_eq!(patch, json!({"spec": expected}), "{rule}");
    }
}

#[test]
fn what_others_added_stays() {
    let manifest = pod(json!({"containers": [{"name": "a"}]}));
    let current = applied(
        &manifest,
        json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "a", "imagePullPolicy": "Always"}]}}),
    );
    assert_eq!(difference(&manifest, &current), json!({}));
}

#[test]
fn a_set_says_what_left_it() {
    let with = |finalizers: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": finalizers}});
    let mut current = applied(&with(json!(["x", "y"])), json!({}));
    current["metadata"]["finalizers"] = json!(["x", "y", "other"]);
    let patch = difference(&with(json!(["y", "z"])), &current);
    assert_eq!(
        patch["metadata"],
        json!({"$setElementOrder/finalizers": ["y", "z"], "finalizers": ["z"], "$deleteFromPrimitiveList/finalizers": ["x"]})
    );
}

#[test]
fn a_map_that_is_one_thing_is_replaced() {
    let with = |labels: Value| {
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
               "spec": {"selector": {"matchLabels": labels}}})
    };
    let current = applied(&with(json!({"app": "web", "tier": "front"})), json!({}));
    let wanted = with(json!({"app": "web"}));
    assert_eq!(
        difference(&wanted, &current)["spec"],
        json!({"selector": {"matchLabels": {"app": "web"}}})
    );
}

#[test]
fn the_strategy_of_a_deployment_keeps_one_member() {
    let with = |strategy: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"strategy": strategy}});
    let before = with(json!({"type": "RollingUpdate"}));
    let current = applied(
        &before,
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}}),
    );
    assert_eq!(
        difference(&with(json!({"type": "Recreate"})), &current)["spec"],
        json!({"strategy": {"type": "Recreate", "$retainKeys": ["type"]}})
    );
}

#[test]
fn custom_resources_get_a_merge_patch() {
    let of =
        |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec});
    let current = applied(
        &of(json!({"list": [{"name": "a"}], "gone": 1, "kept": {"x": 1}})),
        json!({"spec": {"other": 2}}),
    );
    let manifest = of(json!({"list": [{"name": "b"}], "kept": {"x": 1}}));
    assert_eq!(patch(&manifest, &current).kind, "application/merge-patch+json");
    assert_eq!(
        difference(&manifest, &current),
        json!({"spec": {"list": [{"name": "b"}], "gone": null}})
    );
}

/// A strategic merge as the server does it, small and slow: what the patches are tested against.
fn merged(current: &Value, patch: &Value, definition: Option<&Definition>) -> Value {
    let mut result = current.as_object().cloned().unwrap_or_default();
    let patch = patch.as_object().cloned().unwrap_or_default();
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        result.retain(|name, _| retained.contains(&json!(name)));
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let known = definition.and_then(|definition| definition.field(name));
        let below = known.and_then(|field| field.shape.definition());
        let now = result.get(name).cloned().unwrap_or(Value::Null);
        let key = known.and_then(|field| field.merge.key);
        let new = match (value, key) {
            (Value::Null, _) => {
                result.remove(name);
                continue;
            }
            (Value::Object(_), _) => merged(&now, value, below),
            (Value::Array(elements), Some(key)) => merged_list(&now, elements, key, below),
            _ => value.clone(),
        };
        result.insert(name.clone(), new);
    }
    for (name, order) in &patch {
        let Some(list) = name.strip_prefix("$setElementOrder/") else {
            continue;
        };
        let field = definition.and_then(|definition| definition.field(list));
        let Some(key) = field.and_then(|field| field.merge.key) else {
            continue;
        };
        let place = |element: &Value| {
            order
                .as_array()
                .and_then(|order| order.iter().position(|o| o[key] == element[key]))
        };
        if let Some(Value::Array(elements)) = result.get_mut(list) {
            elements.sort_by_key(|element| place(element).unwrap_or(usize::MAX));
        }
    }
    Value::Object(result)
}

fn merged_list(now: &Value, patch: &[Value], key: &str, definition: Option<&Definition>) -> Value {
    let mut list = now.as_array().cloned().unwrap_or_default();
    if patch.first().is_some_and(|first| first["$patch"] == "replace") {
        return json!(patch[1..]);
    }
    for element in patch {
        let place = list.iter().position(|existing| existing[key] == element[key]);
        match (place, element["$patch"] == "delete") {
            (Some(place), true) => drop(list.remove(place)),
            (Some(place), false) => list[place] = merged(&list[place], element, definition),
            (None, true) => {}
            (None, false) => list.push(element.clone()),
        }
    }
    json!(list)
}

/// Whether everything in `wanted` is in `actual`.
fn says(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| actual.get(name).is_some_and(|actual| says(actual, value))),
        (Value::Array(actual), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| actual.iter().any(|actual| says(actual, wanted))),
        _ => actual == wanted,
    }
}

fn any_pod() -> impl Strategy<Value = Value> {
    let container = (
        "[abc]",
        proptest::option::of("[12]"),
        proptest::collection::btree_set(80..83u16, 0..3),
        proptest::option::of("[xy]"),
    )
        .prop_map(|(name, image, ports, env)| {
            let mut container = json!({"name": name});
            if let Some(image) = image {
                container["image"] = json!(image);
            }
            if !ports.is_empty() {
                container["ports"] = ports.iter().map(|port| json!({"containerPort": port})).collect();
            }
            if let Some(env) = env {
                container["env"] = json!([{"name": env, "value": "1"}]);
            }
            container
        });
    let volume = ("[vw]", any::<bool>()).prop_map(|(name, host)| {
        if host {
            json!({"name": name, "hostPath": {"path": "/"}})
        } else {
            json!({"name": name, "emptyDir": {}})
        }
    });
    let labels = proptest::collection::btree_map("[kl]", "[12]", 0..3);
    (
        proptest::collection::vec(container, 0..3),
        proptest::collection::vec(volume, 0..3),
        labels,
    )
        .prop_map(|(mut containers, mut volumes, labels)| {
            for list in [&mut containers, &mut volumes] {
                let mut seen = Vec::new();
                list.retain(|element| {
                    !seen.contains(&element["name"]) && {
                        seen.push(element["name"].clone());
                        true
                    }
                });
            }
            let mut pod = pod(json!({"containers": containers, "volumes": volumes}));
            pod["metadata"]["labels"] = json!(labels);
            pod
        })
}

proptest! {
    #[test]
    fn after_the_patch_the_object_says_the_manifest_and_a_second_apply_changes_nothing(
        first in any_pod(), second in any_pod()
    ) {
        let current = applied(&first, json!({"metadata": {"uid": "1"}, "spec": {"nodeName": "n"}}));
        let schema = built_in("v1", "Pod");
        let after = merged(&current, &patch(&second, &current).body, schema);
        prop_assert!(says(&after, &second), "{after:#} does not say {second:#}");
        prop_assert_eq!(&after["spec"]["nodeName"], "n");
        prop_assert_eq!(after["spec"]["containers"].as_array().map(Vec::len), second["spec"]["containers"].as_array().map(Vec::len));
        let again = patch(&second, &after);
        prop_assert!(again.is_empty(), "{:#}", again.body);
    }
}
