//! Lists whose items have to differ: sets as a whole, maps in their keys.

use std::collections::HashMap;

use minik_api::field::{Error, Path};
use serde_json::{Map, Value};

use super::{List, Schema};
use crate::decode::Place;

/// What stands twice in an object.
pub(crate) fn unique(schema: &Schema, map: &Map<String, Value>) -> Vec<Error> {
    let mut errors = Vec::new();
    fields(schema, map, &Place::ROOT, &mut errors);
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
        Value::Object(map) => fields(schema, map, place, errors),
        Value::Array(list) => {
            match &schema.list {
                List::Atomic => {}
                List::Set => duplicates(list.iter().cloned(), place, errors),
                List::Map(keys) => map_items(keys, list, place, errors),
            }
            let Some(items) = &schema.items else { return };
            for (index, item) in list.iter().enumerate() {
                inside(items, item, &place.index(index), errors);
            }
        }
        _ => {}
    }
}

fn map_items(keys: &[String], list: &[Value], place: &Place<'_>, errors: &mut Vec<Error>) {
    for (index, item) in list.iter().enumerate() {
        if !item.is_null() && !item.is_object() {
            let detail = "must be an object for an array of list-type map";
            errors.push(Error::invalid(&path(&place.index(index)), item.clone(), detail));
            return;
        }
    }
    duplicates(list.iter().map(|item| key_of(item, keys)), place, errors);
}

/// The fields of an item that tell it apart.
pub(super) fn key_of(item: &Value, keys: &[String]) -> Value {
    let fields = keys
        .iter()
        .filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Object(fields.collect())
}

/// One error for each value that was there before, however often it comes.
fn duplicates(values: impl Iterator<Item = Value>, place: &Place<'_>, errors: &mut Vec<Error>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(Error::duplicate(&path(&place.index(index)), value));
        }
    }
}

fn path(place: &Place<'_>) -> Path {
    Path::new(&place.to_string())
}
