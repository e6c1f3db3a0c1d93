use minik_api::kinds;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pod() -> &'static Kind {
    kinds::of("", "v1", "Pod").expect("pods are served")
}

fn refused(body: Value) -> String {
    object(pod(), body).expect_err("a wrong type").status(pod()).message
}

#[test]
fn bodies_are_pruned_and_made_canonical() {
    let body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "labels": {}, "creationTimestamp": null},
        "spec": {
            "hostname": "", "hostNetwork": false, "terminationGracePeriodSeconds": 0, "nodeSelector": {}, "volumes": [],
            "contaners": 1,
            "containers": [{
                "name": "c", "imag": "x", "ports": [{"containerPort": 80, "hostPort": 0}],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                "securityContext": {}
            }],
        },
        "status": {"startTime": "2026-01-01T01:00:00.5+01:00"},
        "extra": {},
    });
    let (object, unknown) = object(pod(), body).expect("a pod");
    assert_eq!(
        object.to_value(),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "c", "ports": [{"containerPort": 80}],
                    "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                    "securityContext": {}
                }],
            },
            "status": {"startTime": "2026-01-01T00:00:00Z"},
        })
    );
    assert_eq!(
        unknown,
        [
            "unknown field \"extra\"",
            "unknown field \"spec.containers[0].imag\" (did you mean \"image\"?)",
            "unknown field \"spec.contaners\" (did you mean \"containers\"?)",
        ]
    );
}

#[test]
fn wrong_types_are_told_as_upstream_tells_them() {
    const HEAD: &str = "Pod in version \"v1\" cannot be handled as a Pod: ";
    for (body, expected) in [
        (
            json!({"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}}),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32 (at spec.containers[0].ports[0].containerPort)",
        ),
        (
            json!({"spec": {"containers": {"name": "a"}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container (at spec.containers)",
        ),
        (
            json!({"spec": {"containers": [{"ports": [{"containerPort": 3_000_000_000u64}]}]}}),
            "json: cannot unmarshal number 3000000000 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32 (at spec.containers[0].ports[0].containerPort)",
        ),
        (
            json!({"spec": {"restartPolicy": 1}}),
            "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy (at spec.restartPolicy)",
        ),
        (
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$', found \"1x\" (at spec.containers[0].resources.limits.cpu)",
        ),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string (at metadata.labels.a)",
        ),
        (
            json!({"metadata": {"creationTimestamp": "yesterday"}}),
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as a time of RFC 3339 (at metadata.creationTimestamp)",
        ),
    ] {
        assert_eq!(refused(body), format!("{HEAD}{expected}"));
    }
    assert_eq!(
        refused(json!({"apiVersion": "v1", "kind": "Service"})),
        "Service in version \"v1\" cannot be handled as a Pod: the body's kind is \"Service\" in version \"v1\", but the path is that of Pod in version \"v1\""
    );
    assert_eq!(
        refused(json!([])),
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: the body is array, not an object"
    );
}

#[test]
fn secrets_hold_base64() {
    let secret = kinds::of("", "v1", "Secret").expect("secrets are served");
    let (good, _) = object(secret, json!({"data": {"a": "aGVs\nbG8=", "b": null}})).expect("a secret");
    assert_eq!(good.at("data"), Some(&json!({"a": "aGVsbG8=", "b": ""})));
    let error = object(secret, json!({"data": {"a": "a b"}})).expect_err("no base64");
    assert_eq!(
        error.status(secret).message,
        "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 1 (at data.a)"
    );
}

#[test]
fn duplicate_keys_are_noticed_in_both_formats() {
    let expected = [
        "duplicate field \"spec.containers[0].name\"",
        "duplicate field \"kind\"",
    ];
    let text = br#"{"kind": "A", "spec": {"containers": [{"name": "a", "name": "b"}]}, "kind": "Pod"}"#;
    let parsed = json(text).expect("JSON");
    assert_eq!(parsed.duplicates, expected);
    assert_eq!(parsed.value["kind"], "Pod");
    let parsed =
        yaml(b"kind: A\nspec:\n  containers:\n  - name: a\n    name: b\nkind: Pod\n1: {true: x}\n").expect("YAML");
    assert_eq!(parsed.duplicates, expected);
    assert_eq!(parsed.value["1"]["true"], "x");
    assert_eq!(
        strict_status(pod(), &parsed.duplicates).message,
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: duplicate field \"spec.containers[0].name\", duplicate field \"kind\""
    );
}

#[test]
fn what_is_no_json_or_yaml_is_refused_with_line_and_column() {
    let error = json(b"{\"a\": }").expect_err("no JSON");
    assert!(error.status(pod()).message.contains("line 1 column 7"), "{error}");
    assert!(json(b"{} {}").is_err());
    assert!(json("[".repeat(100_000).as_bytes()).is_err());
    let error = yaml(b"a: [").expect_err("no YAML");
    assert!(error.to_string().contains("line"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[\\[\\]{}:,\"a0-9 \n&*!|>-]{0,40}") {
        let _ = (json(&bytes), yaml(&bytes), json(text.as_bytes()), yaml(text.as_bytes()));
    }

    #[test]
    fn decoding_twice_changes_nothing(body in pods()) {
        if let Ok((once, _)) = object(pod(), body) {
            let (twice, unknown) = object(pod(), once.to_value()).expect("what was decoded decodes");
            prop_assert_eq!(unknown, Vec::<String>::new());
            prop_assert_eq!(twice, once);
        }
    }
}

/// Bodies that are mostly pods, with anything in some places.
fn pods() -> impl Strategy<Value = Value> {
    let any = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9.]{0,4}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"name": "a", "cpu": "1.5"})),
        Just(json!([{"name": "a"}])),
    ];
    let name = prop_oneof![
        Just("name"),
        Just("containers"),
        Just("nodeName"),
        Just("labels"),
        Just("startTime"),
        Just("hostNetwork"),
        Just("overhead"),
        Just("terminationGracePeriodSeconds"),
        Just("x")
    ];
    let map = proptest::collection::btree_map(name, any, 0..4).prop_map(|map| json!(map));
    (map.clone(), map.clone(), map)
        .prop_map(|(metadata, spec, status)| json!({"metadata": metadata, "spec": spec, "status": status}))
}
