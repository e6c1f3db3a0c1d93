use serde_json::json;

use super::*;
use minik_api::kinds;

fn sentences(kind: &str, metadata: Value) -> Vec<String> {
    let metadata: ObjectMeta = serde_json::from_value(metadata).expect("metadata");
    let kind = kinds::of("", "v1", kind).expect("a kind");
    let errors = validate_metadata(kind, names::subdomain, &metadata);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn metadata_breaks_rules_in_the_words_of_kubernetes() {
    let subdomain = &names::subdomain("A")[0];
    for (kind, metadata, expected) in [
        ("Pod", json!({"name": "a", "namespace": "default"}), vec![]),
        ("Pod", json!({"name": "ab", "generateName": "a-", "namespace": "default"}), vec![]),
        (
            "Pod",
            json!({"name": "A", "namespace": "default"}),
            vec![format!("metadata.name: Invalid value: \"A\": {subdomain}")],
        ),
        (
            "Pod",
            json!({}),
            vec![
                "metadata.name: Required value: name or generateName is required".into(),
                "metadata.namespace: Required value".into(),
            ],
        ),
        (
            "Node",
            json!({"name": "a", "namespace": "default"}),
            vec!["metadata.namespace: Forbidden: not allowed on this type".into()],
        ),
        (
            "Node",
            json!({"name": "a", "labels": {"a": "b c"}}),
            vec![format!("metadata.labels: Invalid value: \"b c\": {}", names::label_value("b c")[0])],
        ),
        (
            "Node",
            json!({"name": "a", "annotations": {"a b": "", "A/B": "any text"}}),
            vec![format!("metadata.annotations: Invalid value: \"a b\": {}", names::qualified("a b")[0])],
        ),
        (
            "Node",
            json!({"name": "a", "annotations": {"a": "x".repeat(ANNOTATIONS_MAX_BYTES)}}),
            vec!["metadata.annotations: Too long: may not be more than 262144 bytes".into()],
        ),
        (
            "Node",
            json!({"name": "a", "finalizers": ["mine", "example.com/mine", "orphan"]}),
            vec![
                "metadata.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
                    .into(),
            ],
        ),
    ] {
        assert_eq!(sentences(kind, metadata), expected);
    }
}

#[test]
fn one_owner_controls() {
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
    assert_eq!(
        sentences(
            "Node",
            json!({"name": "a", "ownerReferences": [owner("x"), owner("y")]})
        ),
        [
            "metadata.ownerReferences: Invalid value: \"y\": Only one reference can have Controller set to true. Found \"true\" in references for x and y"
        ]
    );
}

#[test]
fn updates_leave_identity_alone() {
    let old: ObjectMeta = serde_json::from_value(json!({
        "name": "a", "uid": "1", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]
    }))
    .expect("metadata");
    let mut new = old.clone();
    assert_eq!(validate_metadata_update(&new, &old), []);
    new.uid = Some("2".into());
    new.generation = Some(1);
    new.finalizers = Some(vec!["a.b/c".into()]);
    let errors: Vec<String> = validate_metadata_update(&new, &old)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "metadata.uid: Invalid value: \"2\": field is immutable",
            "metadata.generation: Invalid value: 1: must not be decremented",
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a.b/c\"}",
        ]
    );
}
