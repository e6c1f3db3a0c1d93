use serde_json::json;

use super::*;
use crate::customs::schema::read;

/// What the rules of `spec` say.
fn judged(spec: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let schema = read(&json!({"type": "object", "properties": {"spec": spec}}));
    let wrap = |value: Value| json!({"metadata": {"name": "x"}, "spec": value});
    let old = old.map(wrap);
    let errors = judge(&schema, &wrap(value), old.as_ref(), &Place::ROOT);
    errors.iter().map(ToString::to_string).collect()
}

fn spec(rules: Value) -> Value {
    json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
        "min": {"type": "integer"}, "max": {"type": "integer"},
        "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}]},
        "ratio": {"type": "number"}, "at": {"type": "string", "format": "date-time"},
        "port": {"x-kubernetes-int-or-string": true}}})
}

#[test]
fn a_rule_that_is_not_kept_says_so() {
    for (rule, sentence) in [
        (
            json!({"rule": "self.min <= self.max"}),
            "spec: Invalid value: failed rule: self.min <= self.max",
        ),
        (
            json!({"rule": "self.min <= self.max", "message": "no range"}),
            "spec: Invalid value: no range",
        ),
        (
            json!({"rule": "self.min <= self.max", "messageExpression": "'%d > %d'.format([self.min, self.max])"}),
            "spec: Invalid value: 3 > 2",
        ),
        (
            json!({"rule": "self.min <= self.max", "fieldPath": ".max", "reason": "FieldValueForbidden", "message": "no"}),
            "spec.max: Forbidden: no",
        ),
        (json!({"rule": "self.none == 1"}), ""),
        (
            json!({"rule": "self.name == ''"}),
            "spec: Invalid value: \"object\": no such key: name evaluating rule: self.name == ''",
        ),
        (
            json!({"rule": "self.port > 1"}),
            "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port > 1",
        ),
    ] {
        let found = judged(spec(json!([rule])), json!({"min": 3, "max": 2, "port": "http"}), None);
        // A rule that doesn't compile is refused when it is written; it isn't asked.
        let wanted: Vec<&str> = Some(sentence)
            .into_iter()
            .filter(|sentence| !sentence.is_empty())
            .collect();
        assert_eq!(found, wanted, "{rule}");
    }
    let good = judged(
        spec(json!([{"rule": "self.min <= self.max"}])),
        json!({"min": 1, "max": 2}),
        None,
    );
    assert_eq!(good, Vec::<String>::new());
}

#[test]
fn values_have_the_types_of_their_schema() {
    let rule = json!([{"rule": "self.ratio * 2.0 == 4.0 && self.at.getFullYear() == 2024"}]);
    let found = judged(spec(rule), json!({"ratio": 2, "at": "2024-01-01T00:00:00Z"}), None);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn rules_of_change_see_what_was() {
    let found = |new, old| judged(spec(json!([])), new, old);
    assert_eq!(found(json!({"name": "a"}), None), Vec::<String>::new());
    assert_eq!(
        found(json!({"name": "a"}), Some(json!({"name": "a"}))),
        Vec::<String>::new()
    );
    assert_eq!(
        found(json!({"name": "b"}), Some(json!({"name": "a"}))),
        ["spec.name: Invalid value: \"b\": is immutable"]
    );

    let optional = json!([{"rule": "oldSelf.hasValue() || self.min == 0", "optionalOldSelf": true}]);
    assert_eq!(judged(spec(optional.clone()), json!({"min": 1}), None).len(), 1);
    assert_eq!(
        judged(spec(optional), json!({"min": 1}), Some(json!({"min": 5}))),
        Vec::<String>::new()
    );
}

#[test]
fn what_an_update_leaves_alone_is_not_judged() {
    let rule = json!([{"rule": "self.min == 0"}]);
    let old = json!({"min": 1});
    assert_eq!(
        judged(spec(rule.clone()), json!({"min": 1}), Some(old.clone())),
        Vec::<String>::new()
    );
    assert_eq!(judged(spec(rule), json!({"min": 2}), Some(old)).len(), 1);
}

#[test]
fn items_are_found_again_by_their_keys() {
    let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
        "type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "may not shrink"}]}});
    let old = json!([{"k": "a", "v": 1}, {"k": "b", "v": 9}]);
    let found = judged(
        list,
        json!([{"k": "b", "v": 9}, {"k": "c", "v": 0}, {"k": "a", "v": 0}]),
        Some(old),
    );
    assert_eq!(found, ["spec[2]: Invalid value: may not shrink"]);
}

#[test]
fn all_rules_of_an_object_share_one_budget() {
    let each = json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a + b >= 0))"}]}});
    let list: Vec<usize> = (0..300).collect();
    let many: serde_json::Map<String, Value> = (0..40).map(|key| (key.to_string(), json!(list))).collect();
    let found = judged(each, Value::Object(many), None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("running out of cost budget"), "{found:?}");
}
