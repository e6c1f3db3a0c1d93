//! JSON merge patches (RFC 7396) between three states: for kinds whose lists nobody knows how to merge.

use serde_json::{Map, Value};

/// What `wanted` adds or changes against `current`, and `null` for what `before` had and `wanted` has no more.
#[must_use]
pub fn three_way(before: &Value, wanted: &Value, current: &Value) -> Value {
    let empty = Map::new();
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (before, current) = (map(before), map(current));
    let wanted = wanted.as_object().unwrap_or(&empty);
    let mut patch = Map::new();
    for (name, value) in wanted {
        match current.get(name) {
            Some(now) if now.is_object() && value.is_object() => {
                let below = three_way(before.get(name).unwrap_or(&Value::Null), value, now);
                if below.as_object().is_some_and(|map| !map.is_empty()) {
                    patch.insert(name.clone(), below);
                }
            }
            now if now == Some(value) || (now.is_none() && value.is_null()) => {}
            _ => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for name in before.keys() {
        if !wanted.contains_key(name) && current.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}
