use minik_api::object::Object;
use serde_json::{Value, json};

use crate::kinds::testing::{cells, decoded, rules_of, sentences, with};

fn bare() -> Value {
    json!({"metadata": {"name": "j", "namespace": "default", "uid": "u"}, "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}})
}

/// As the registry creates it.
fn new(value: Value) -> Object {
    let mut object = decoded("Job", value);
    rules_of("Job").prepare_create(&mut object);
    rules_of("Job").defaults(&mut object);
    object
}

fn created(value: Value) -> Vec<String> {
    sentences(&rules_of("Job").validate(&new(value)))
}

fn updated(old: Value, pointer: &str, value: Value) -> Vec<String> {
    let old = new(old);
    let new = decoded("Job", with(old.to_value(), pointer, value));
    sentences(&rules_of("Job").validate_update(&new, &old))
}

#[test]
fn a_small_job_becomes_a_whole_one() {
    let job = new(bare());
    let mut spec = job.body["spec"].clone();
    spec.as_object_mut()
        .and_then(|spec| spec.remove("template"))
        .expect("a template");
    assert_eq!(
        spec,
        json!({"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
            "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}})
    );
    let labels = json!({"batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j",
        "controller-uid": "u", "job-name": "j"});
    assert_eq!(job.at("spec.template.metadata.labels"), Some(&labels));
    assert_eq!(json!(job.metadata.labels), labels);
    assert_eq!(created(bare()), Vec::<String>::new());
}

#[test]
fn retries_by_index_have_no_other_limit() {
    let mut job = with(bare(), "/spec/completionMode", json!("Indexed"));
    job["spec"]["completions"] = 3.into();
    job["spec"]["backoffLimitPerIndex"] = 1.into();
    assert_eq!(new(job.clone()).at("spec.backoffLimit"), Some(&json!(i32::MAX)));
    assert_eq!(created(job), Vec::<String>::new());
}

#[test]
fn jobs_break_rules_in_the_words_of_kubernetes() {
    let template = "spec.template.spec.restartPolicy";
    for (pointer, value, expected) in [
        (
            "/spec/template/spec/restartPolicy",
            Value::Null,
            format!("{template}: Required value: valid values: \"OnFailure\", \"Never\""),
        ),
        (
            "/spec/parallelism",
            json!(-1),
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0".into(),
        ),
        (
            "/spec/completionMode",
            json!("Indexed"),
            String::new(),
        ),
        (
            "/spec/completionMode",
            json!("Sorted"),
            "spec.completionMode: Unsupported value: \"Sorted\": supported values: \"Indexed\", \"NonIndexed\"".into(),
        ),
        (
            "/spec/backoffLimitPerIndex",
            json!(1),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode".into(),
        ),
        (
            "/spec/managedBy",
            json!("me"),
            "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")".into(),
        ),
        (
            "/spec/podReplacementPolicy",
            json!("Later"),
            "spec.podReplacementPolicy: Unsupported value: \"Later\": supported values: \"Failed\", \"TerminatingOrFailed\"".into(),
        ),
        (
            "/spec/podFailurePolicy",
            json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3, 0]}}]}),
            "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator; \
             spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0]: must be ordered"
                .into(),
        ),
        (
            "/spec/podFailurePolicy",
            json!({"rules": [{"action": "Ignore"}]}),
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required".into(),
        ),
        (
            "/spec/podFailurePolicy",
            json!({"rules": [{"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget"}]}]}),
            "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set".into(),
        ),
        (
            "/spec/template/metadata",
            json!({"labels": {"job-name": "x"}}),
            "spec.template.metadata.labels[job-name]: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u\",\"batch.kubernetes.io/job-name\":\"j\",\"controller-uid\":\"u\",\"job-name\":\"x\"}: must be 'j'".into(),
        ),
        (
            "/spec/selector",
            json!({"matchLabels": {"a": "b"}}),
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u\"}}: `selector` not auto-generated; \
             spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u\",\"batch.kubernetes.io/job-name\":\"j\",\"controller-uid\":\"u\",\"job-name\":\"j\"}: `selector` does not match template `labels`"
                .into(),
        ),
    ] {
        assert_eq!(created(with(bare(), pointer, value)).join("; "), expected, "{pointer}");
    }
}

#[test]
fn a_manual_selector_is_left_alone() {
    let mut job = with(bare(), "/spec/manualSelector", json!(true));
    assert_eq!(created(job.clone()), ["spec.selector: Required value"]);
    job["spec"]["selector"] = json!({"matchLabels": {"a": "b"}});
    job["spec"]["template"]["metadata"] = json!({"labels": {"a": "b"}});
    assert_eq!(created(job), Vec::<String>::new());
}

#[test]
fn success_is_for_jobs_with_indexes() {
    let policy = json!({"rules": [{"succeededIndexes": "0-1", "succeededCount": 3}]});
    let mut job = with(bare(), "/spec/successPolicy", policy);
    assert!(created(job.clone())[0].ends_with("requires indexed completion mode"));
    job["spec"]["completionMode"] = "Indexed".into();
    job["spec"]["completions"] = 4.into();
    let told = "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)";
    assert_eq!(created(job), [told]);
}

#[test]
fn next_to_nothing_may_change() {
    let none = Vec::<String>::new();
    assert_eq!(updated(bare(), "/spec/parallelism", json!(3)), none);
    assert_eq!(updated(bare(), "/spec/suspend", json!(true)), none);
    assert_eq!(
        updated(bare(), "/spec/completions", json!(3)),
        ["spec.completions: Invalid value: 3: field is immutable"]
    );
    assert_eq!(updated(bare(), "/spec/template/spec/hostNetwork", json!(true)).len(), 1);
    assert_eq!(
        updated(bare(), "/spec/template/spec/nodeSelector", json!({"a": "b"})).len(),
        1
    );
    let asleep = with(bare(), "/spec/suspend", json!(true));
    assert_eq!(
        updated(asleep, "/spec/template/spec/nodeSelector", json!({"a": "b"})),
        none
    );
    let mut indexed = with(bare(), "/spec/completionMode", json!("Indexed"));
    indexed["spec"]["completions"] = 2.into();
    assert_eq!(
        updated(indexed, "/spec/completions", json!(3)),
        ["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"]
    );
}

#[test]
fn what_is_over_stays_over() {
    let status = |status: Value| decoded("Job", with(bare(), "/status", status));
    let complete =
        json!({"completionTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Complete", "status": "True"}]});
    let check =
        |new: Value, old: Value| sentences(&rules_of("Job").validate_status_update(&status(new), &status(old))).len();
    assert_eq!(check(complete.clone(), json!({})), 0);
    assert_eq!(check(json!({}), complete), 2);
    assert_eq!(check(json!({"completionTime": "2026-01-01T00:00:00Z"}), json!({})), 1);
    assert_eq!(check(json!({"failed": -1}), json!({})), 1);
}

#[test]
fn tables_show_how_far_it_is() {
    let status = json!({"succeeded": 1, "startTime": "1969-12-31T23:58:00Z"});
    let selector = "<none>";
    assert_eq!(
        cells("Job", with(bare(), "/status", status)),
        ["j", "Running", "1/1", "2m", "<unknown>", "c", "i", selector]
    );
    let status = json!({"startTime": "1969-12-31T23:58:00Z", "completionTime": "1969-12-31T23:58:07Z",
        "conditions": [{"type": "Complete", "status": "True"}]});
    let job = with(bare(), "/spec/parallelism", json!(4));
    assert_eq!(
        cells("Job", with(job, "/status", status))[..4],
        ["j", "Complete", "0/1 of 4", "7s"]
    );
}
