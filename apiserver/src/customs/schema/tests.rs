use serde_json::{Map, Value, json};

use super::*;
use crate::decode::Place;

fn errors(schema: Value, value: Value) -> Vec<String> {
    update_errors(schema, value, None)
}

fn update_errors(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let schema = read(&json!({"type": "object", "properties": {"v": schema}}));
    let old = old.map(|old| json!({"v": old}));
    let found = validate(&schema, &json!({"v": value}), old.as_ref(), &Place::ROOT);
    found.iter().map(ToString::to_string).collect()
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

#[test]
fn values_are_what_their_schema_says() {
    for (schema, value, sentence) in [
        (
            json!({"type": "integer"}),
            json!("a"),
            "v: Invalid value: \"string\": v in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            Value::Null,
            "v: Invalid value: \"null\": v in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "integer", "minimum": 1.0}),
            json!(0),
            "v: Invalid value: 0: v in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 9, "exclusiveMaximum": true}),
            json!(9),
            "v: Invalid value: 9: v in body should be less than 9",
        ),
        (
            json!({"type": "number", "multipleOf": 0.5}),
            json!(0.7),
            "v: Invalid value: 0.7: v in body should be a multiple of 0.5",
        ),
        (
            json!({"type": "string", "minLength": 3}),
            json!("ab"),
            "v: Invalid value: \"ab\": v in body should be at least 3 chars long",
        ),
        (
            json!({"type": "string", "maxLength": 1}),
            json!("ab"),
            "v: Too long: may not be more than 1 bytes",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("ab"),
            "v: Invalid value: \"ab\": v in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "v: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
        (
            json!({"type": "string", "format": "ipv4"}),
            json!("x"),
            "v: Invalid value: \"x\": v in body must be of type ipv4: \"x\"",
        ),
    ] {
        assert_eq!(errors(schema.clone(), value), [sentence], "{schema}");
    }
}

#[test]
fn lists_and_objects_are_what_their_schema_says() {
    for (schema, value, sentence) in [
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            "v[1]: Invalid value: \"integer\": v[1] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "v: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "v: Invalid value: 0: v in body should have at least 1 items",
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            "v.a: Required value",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "boolean"}}),
            json!({"k": 1}),
            "v.k: Invalid value: \"integer\": v.k in body must be of type boolean: \"integer\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "v: Invalid value: \"boolean\": v in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "object", "not": {"required": ["a"]}, "properties": {"a": {"type": "string"}}}),
            json!({"a": "b"}),
            "<nil>: Invalid value: \"\": \"v\" must not validate the schema (not)",
        ),
        (
            json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            json!(3),
            "<nil>: Invalid value: \"\": \"v\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
    ] {
        assert_eq!(errors(schema.clone(), value), [sentence], "{schema}");
    }
    for (schema, value) in [
        (json!({"type": "string", "nullable": true}), Value::Null),
        (json!({"type": "integer"}), json!(2.0)),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("10%"),
        ),
        (
            json!({"type": "integer", "anyOf": [{"minimum": 9}, {"maximum": 1}]}),
            json!(0),
        ),
        (json!({"type": "number", "enum": [1]}), json!(1.0)),
        (json!({"type": "string", "maxLength": 2}), json!("äö")),
    ] {
        assert_eq!(errors(schema.clone(), value), Vec::<String>::new(), "{schema}");
    }
}

#[test]
fn alternatives_tell_what_was_nearly_right() {
    let schema = json!({"type": "integer", "anyOf": [{"minimum": 5}, {"multipleOf": 3, "minimum": 7}]});
    let found = errors(schema, json!(1));
    assert_eq!(
        found,
        [
            "<nil>: Invalid value: \"\": \"v\" must validate at least one schema (anyOf)",
            "v: Invalid value: 1: v in body should be greater than or equal to 5"
        ]
    );
}

#[test]
fn what_an_update_leaves_alone_stays_good() {
    let strict =
        json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 1}, "b": {"type": "string"}}});
    let old = json!({"a": "long", "b": "x"});
    let new = json!({"a": "long", "b": "y"});
    assert_eq!(
        update_errors(strict.clone(), new, Some(old.clone())),
        Vec::<String>::new()
    );
    let worse = json!({"a": "longer", "b": "x"});
    assert_eq!(
        update_errors(strict, worse, Some(old)),
        ["v.a: Too long: may not be more than 1 bytes"]
    );

    let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer", "maximum": 1}}}});
    let old = json!([{"k": "a", "n": 5}, {"k": "b", "n": 1}]);
    let moved = json!([{"k": "b", "n": 0}, {"k": "a", "n": 5}]);
    assert_eq!(
        update_errors(list.clone(), moved, Some(old.clone())),
        Vec::<String>::new()
    );
    let worse = json!([{"k": "b", "n": 5}]);
    assert_eq!(update_errors(list, worse, Some(old)).len(), 1);
}

#[test]
fn unknown_fields_go_unless_they_are_kept() {
    let schema = read(&json!({"type": "object", "properties": {
    "spec": {"type": "object", "properties": {
        "a": {"type": "string"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"b": {"type": "string"}}}}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string"}}}},
        "inner": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
    }}}}));
    let mut body = map(json!({
        "apiVersion": "v1", "kind": "A", "metadata": {"name": "x"},
        "top": 1,
        "spec": {"a": "1", "b": 2, "free": {"x": {"y": 1}, "known": {"b": "1", "c": 2}}, "map": {"k": "v"},
            "list": [{"c": "1", "d": 2}], "inner": {"apiVersion": "v1", "kind": "B", "metadata": {"name": "b"}, "data": 1}},
    }));
    let gone = prune(&schema, &mut body);
    assert_eq!(
        gone,
        [
            "spec.b",
            "spec.free.known.c",
            "spec.inner.data",
            "spec.list[0].d",
            "top"
        ]
    );
    assert_eq!(body["spec"]["free"], json!({"x": {"y": 1}, "known": {"b": "1"}}));
    assert_eq!(body["metadata"]["name"], "x");
    assert_eq!(body["spec"]["inner"]["kind"], "B");
}

#[test]
fn defaults_are_filled_in_also_inside_of_others() {
    let schema = read(&json!({"type": "object", "properties": {
    "spec": {"type": "object", "default": {}, "properties": {
        "size": {"type": "integer", "default": 3},
        "none": {"type": "string", "nullable": true, "default": "x"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
    }}}}));
    let filled = |value| {
        let mut body = map(value);
        drop_nulls(&schema, &mut body);
        defaults(&schema, &mut body);
        Value::Object(body)
    };
    assert_eq!(filled(json!({})), json!({"spec": {"size": 3, "none": "x"}}));
    assert_eq!(
        filled(json!({"spec": {"size": null, "none": null, "items": [{}, {"port": 1}]}})),
        json!({"spec": {"size": 3, "none": null, "items": [{"port": 80}, {"port": 1}]}})
    );
}

#[test]
fn sets_and_maps_hold_things_once() {
    let schema = read(&json!({"type": "object", "properties": {
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
            "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}}}));
    let body = map(json!({"set": ["x", "y", "x", "x"], "map": [{"a": "1"}, {"a": "1", "b": 2}, {"a": "1", "c": 3}]}));
    let found: Vec<String> = unique(&schema, &body).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "map[2]: Duplicate value: {\"a\":\"1\"}",
            "set[2]: Duplicate value: \"x\""
        ]
    );
}
