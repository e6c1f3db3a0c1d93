//! Whole objects inside of a custom object (`x-kubernetes-embedded-resource`): they say what they are, and their metadata is
//! metadata.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use minik_api::field::{Error, Path};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::schema::Schema;
use crate::decode::Place;

/// What is wrong with the objects inside of an object.
pub(super) fn validate(schema: &Schema, body: &Map<String, Value>) -> Vec<Error> {
    let mut errors = Vec::new();
    fields(schema, body, &Place::ROOT, &mut errors);
    errors
}

fn fields(schema: &Schema, map: &Map<String, Value>, place: &Place<'_>, errors: &mut Vec<Error>) {
    for (name, value) in map {
        if let Some(field) = schema.field(name) {
            inside(field, value, &place.field(name), errors);
        }
    }
}

fn inside(schema: &Schema, value: &Value, place: &Place<'_>, errors: &mut Vec<Error>) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                resource(map, &Path::new(&place.to_string()), errors);
            }
            fields(schema, map, place, errors);
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (index, item) in list.iter().enumerate() {
                inside(items, item, &place.index(index), errors);
            }
        }
        _ => {}
    }
}

fn resource(map: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    for name in ["apiVersion", "kind"] {
        match map.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            None | Some(Value::Null | Value::String(_)) => {
                errors.push(Error::required(&path.child(name), "must not be empty"))
            }
            Some(other) => errors.push(Error::invalid(&path.child(name), other.clone(), "must be a string")),
        }
    }
    if let Some(metadata) = map.get("metadata")
        && let Err(error) = ObjectMeta::deserialize(metadata)
    {
        errors.push(Error::invalid(
            &path.child("metadata"),
            metadata.clone(),
            error.to_string(),
        ));
    }
}
