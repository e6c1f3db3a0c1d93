use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    serde_json::from_value(value).expect("an object")
}

#[test]
fn names_are_unique_and_rules_say_something() {
    let mut names: Vec<_> = all().map(|role| (role.namespace, role.name)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for role in all() {
        assert!(role.aggregates || !role.rules.is_empty(), "{}", role.name);
        for rule in role.rules.iter().map(Rule::policy) {
            assert!(!rule.verbs.is_empty(), "{} {rule}", role.name);
            let is_about_something = !rule.resources.is_empty() && !rule.api_groups.is_empty();
            assert!(
                is_about_something || !rule.non_resource_urls.is_empty(),
                "{} {rule}",
                role.name
            );
        }
    }
}

#[test]
fn what_is_missing_is_added_and_what_is_there_stays() {
    let wanted = object(
        json!({"metadata": {"name": "r", "labels": {"a": "1"}, "annotations": {AUTOUPDATE: "true"}},
        "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]}),
    );
    let stored = object(json!({"metadata": {"name": "r", "labels": {"a": "2", "b": "3"}},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]}]}));
    let new = merged(&stored, &wanted).expect("list is missing");
    let labels = new.metadata.labels.clone().expect("labels");
    assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("2", "3"));
    assert_eq!(
        new.at("rules"),
        Some(
            &json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]},
            {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}])
        )
    );
    assert!(merged(&new, &wanted).is_none(), "once is enough");
}

#[test]
fn whoever_keeps_a_role_as_it_is_is_left_alone() {
    let wanted = object(json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]}));
    let stored = object(json!({"metadata": {"name": "r", "annotations": {AUTOUPDATE: "false"}}, "rules": []}));
    assert!(merged(&stored, &wanted).is_none());
}

#[test]
fn subjects_are_added_once() {
    let subject = |name: &str| json!({"kind": "Group", "name": name, "apiGroup": GROUP});
    let binding = |subjects: Value| {
        object(
            json!({"metadata": {"name": "b", "labels": {}, "annotations": {AUTOUPDATE: "true"}},
            "roleRef": {"name": "r"}, "subjects": subjects}),
        )
    };
    let wanted = binding(json!([subject("a")]));
    let new = merged(&binding(json!([subject("b")])), &wanted).expect("a is missing");
    assert_eq!(new.at("subjects"), Some(&json!([subject("b"), subject("a")])));
    assert!(merged(&new, &wanted).is_none());
}
