//! Defaulting: what the schema says stands where nothing does. `null` is nothing, unless the schema takes it for a value.

use serde_json::{Map, Value};

use super::Schema;

/// Takes away what is `null` where the schema has neither a default nor a use for it.
pub(crate) fn drop_nulls(schema: &Schema, map: &mut Map<String, Value>) {
    map.retain(|name, value| {
        let field = schema.field(name);
        let is_nothing = value.is_null() && field.is_some_and(|field| !field.nullable && field.default.is_none());
        if let Some(field) = field {
            drop_nulls_inside(field, value);
        }
        !is_nothing
    });
}

fn drop_nulls_inside(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => drop_nulls(schema, map),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|item| drop_nulls_inside(items, item));
            }
        }
        _ => {}
    }
}

/// Fills in defaults, also inside of those that were filled in.
pub(crate) fn defaults(schema: &Schema, map: &mut Map<String, Value>) {
    for (name, property) in &schema.properties {
        if let Some(default) = &property.default
            && map.get(name).is_none_or(|value| value.is_null() && !property.nullable)
        {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        if let Some(field) = schema.field(name) {
            fill(field, value);
        }
    }
}

fn fill(schema: &Schema, value: &mut Value) {
    if value.is_null()
        && !schema.nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
    match value {
        Value::Object(map) => defaults(schema, map),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|item| fill(items, item));
            }
        }
        _ => {}
    }
}
