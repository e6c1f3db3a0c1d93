//! The schema of a custom kind: that of its definition, with what every object has; for version 2 of OpenAPI without what
//! that version has no words for (apiextensions' `ToStructuralOpenAPIV2`).

use serde_json::{Map, Value, json};

use super::schemas::Edition;

/// What every object says of itself.
pub(super) const TYPE_META: [(&str, &str); 2] = [
    (
        "apiVersion",
        "The group and version of this representation of the object, as in `apps/v1`.",
    ),
    ("kind", "The kind of the object, in CamelCase. It can't be changed."),
];

/// Version 2 can't say these.
const NOT_IN_V2: [&str; 7] = [
    "allOf",
    "anyOf",
    "default",
    "nullable",
    "not",
    "oneOf",
    "x-kubernetes-validations",
];
/// What a value has to look like inside.
const INSIDE: [&str; 4] = ["additionalProperties", "items", "properties", "required"];

/// The schema of the objects of a kind; `metadata` refers to that of ObjectMeta.
pub(super) fn schema(definition: Option<Value>, edition: Edition, metadata: &Value) -> Value {
    let mut schema = match definition {
        Some(Value::Object(schema)) => schema,
        _ => Map::new(),
    };
    if edition == Edition::V2 {
        to_v2(&mut schema);
    }
    schema.insert("type".into(), "object".into());
    let has_fields = schema.contains_key("properties");
    let is_free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    // As upstream: of what may have any field, version 2 tells none.
    if edition == Edition::V3 || has_fields || !is_free {
        with_own_fields(&mut schema, metadata);
    }
    embed(&mut schema, metadata);
    schema.into()
}

/// `apiVersion`, `kind` and `metadata`, which definitions leave out.
fn with_own_fields(schema: &mut Map<String, Value>, metadata: &Value) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    for (field, text) in TYPE_META {
        properties[field] = json!({"type": "string", "description": text});
    }
    properties["metadata"] = metadata.clone();
}

/// The same for whole objects inside (`x-kubernetes-embedded-resource`).
fn embed(schema: &mut Map<String, Value>, metadata: &Value) {
    for below in below(schema) {
        if below.get("x-kubernetes-embedded-resource") == Some(&json!(true)) {
            with_own_fields(below, metadata);
        }
        embed(below, metadata);
    }
}

fn to_v2(schema: &mut Map<String, Value>) {
    let says = |name: &str| schema.get(name) == Some(&json!(true));
    let is_nullable = says("nullable");
    let is_free = says("x-kubernetes-preserve-unknown-fields");
    let has_no_type = is_nullable || says("x-kubernetes-int-or-string");
    for name in NOT_IN_V2 {
        schema.remove(name);
    }
    if has_no_type {
        schema.remove("type");
    }
    if is_nullable || is_free {
        // Clients of version 2 would refuse what they don't know, and null.
        for name in INSIDE {
            schema.remove(name);
        }
    }
    below(schema).into_iter().for_each(to_v2);
}

/// The schemas inside.
fn below(schema: &mut Map<String, Value>) -> Vec<&mut Map<String, Value>> {
    let mut found = Vec::new();
    for (name, value) in schema.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                found.extend(properties.values_mut().filter_map(Value::as_object_mut));
            }
            ("items" | "additionalProperties", Value::Object(inside)) => found.push(inside),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({"type": "object", "description": "A widget.", "properties": {
            "spec": {"type": "object", "required": ["size"], "properties": {
                "size": {"type": "integer", "default": 1, "nullable": true},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                    "x-kubernetes-preserve-unknown-fields": true},
            }},
        }})
    }

    #[test]
    fn version_3_tells_everything() {
        let metadata = json!({"$ref": "x"});
        let schema = schema(Some(definition()), Edition::V3, &metadata);
        assert_eq!(schema["description"], "A widget.");
        assert_eq!(schema["properties"]["metadata"], metadata);
        assert_eq!(schema["properties"]["kind"]["type"], "string");
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["size"], json!({"type": "integer", "default": 1, "nullable": true}));
        assert_eq!(spec["template"]["properties"]["metadata"], metadata);
    }

    #[test]
    fn version_2_tells_what_it_can() {
        let schema = schema(Some(definition()), Edition::V2, &json!({"$ref": "x"}));
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["size"]));
        assert_eq!(spec["properties"]["size"], json!({}));
        assert_eq!(spec["properties"]["port"], json!({"x-kubernetes-int-or-string": true}));
    }

    #[test]
    fn a_kind_without_a_schema_is_an_object() {
        let schema = schema(None, Edition::V3, &json!({}));
        assert_eq!(schema["type"], "object");
    }
}
