//! Pruning: fields that the schema doesn't know go, unless it says to keep them.

use serde_json::{Map, Value};

use super::{Additional, Schema};
use crate::decode::Place;

/// What every object has, whether the schema says so or not.
const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Prunes the body of an object; tells the places of what went, in order.
pub(crate) fn prune(schema: &Schema, body: &mut Map<String, Value>) -> Vec<String> {
    let mut gone = Vec::new();
    object(schema, body, true, &Place::ROOT, &mut gone);
    gone.sort_unstable();
    gone
}

fn object(schema: &Schema, map: &mut Map<String, Value>, is_resource: bool, place: &Place<'_>, gone: &mut Vec<String>) {
    map.retain(|name, value| {
        if is_resource && OF_EVERY_OBJECT.contains(&name.as_str()) {
            return true;
        }
        let place = place.field(name);
        if let Some(property) = schema.properties.get(name) {
            inside(Some(property), value, &place, gone);
            return true;
        }
        match &schema.additional {
            Additional::Each(each) => inside(Some(each), value, &place, gone),
            Additional::Any => inside(None, value, &place, gone),
            Additional::None if schema.preserve_unknown => {}
            Additional::None => {
                gone.push(place.to_string());
                return false;
            }
        }
        true
    });
}

/// Without a schema nothing that has fields keeps them.
fn inside(schema: Option<&Schema>, value: &mut Value, place: &Place<'_>, gone: &mut Vec<String>) {
    match value {
        Value::Object(map) => match schema {
            Some(schema) => object(schema, map, schema.embedded, place, gone),
            None => {
                gone.extend(map.keys().map(|name| place.field(name).to_string()));
                map.clear();
            }
        },
        Value::Array(list) => {
            let preserve = schema.is_some_and(|schema| schema.preserve_unknown);
            let items = schema.and_then(|schema| schema.items.as_deref());
            if preserve && items.is_none() {
                return;
            }
            for (index, item) in list.iter_mut().enumerate() {
                inside(items, item, &place.index(index), gone);
            }
        }
        _ => {}
    }
}
