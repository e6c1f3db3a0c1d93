//! Strategic merge patches between three states: for Kubernetes' own kinds.
//!
//! The directives are Kubernetes' own: `$patch: delete|replace`, `$setElementOrder/x`, `$deleteFromPrimitiveList/x`,
//! `$retainKeys`. What `before` had and `wanted` lacks is deleted, what `wanted` says is set, and what only `current` has was put
//! there by others and stays.

use std::sync::LazyLock;

use minik_api::schema::{Definition, Merge};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// The patch that brings `current` to `wanted`; an empty map when it is there.
#[must_use]
pub fn three_way(before: &Value, wanted: &Value, current: &Value, definition: &Definition) -> Value {
    Value::Object(maps(
        object(before),
        object(wanted),
        object(current),
        Some(definition),
        false,
    ))
}

fn maps(
    before: &Object,
    wanted: &Object,
    current: &Object,
    definition: Option<&Definition>,
    retain_keys: bool,
) -> Object {
    let mut patch = Object::new();
    for (name, value) in wanted {
        // Nothing is known of a map's own keys, nor below them: no map of the built-in kinds holds what merges in its own way.
        let known = definition.and_then(|definition| definition.field(name));
        let merge = known.map(|field| field.merge).unwrap_or_default();
        let below = known.and_then(|field| field.shape.definition());
        let was = before.get(name).unwrap_or(&Value::Null);
        field(&mut patch, name, [was, value], current.get(name), (merge, below));
    }
    for name in before.keys() {
        if !wanted.contains_key(name) && current.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    let others = || current.keys().any(|name| !wanted.contains_key(name));
    if retain_keys && !wanted.is_empty() && (!patch.is_empty() || others()) {
        let mut kept: Vec<&String> = wanted
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name)
            .collect();
        kept.sort();
        patch.insert("$retainKeys".to_owned(), json!(kept));
    }
    patch
}

/// Adds to the patch what one field needs; `known` is how it merges, and what its object or its items are.
fn field(
    patch: &mut Object,
    name: &str,
    [before, wanted]: [&Value; 2],
    current: Option<&Value>,
    known: (Merge, Option<&'static Definition>),
) {
    let (merge, definition) = known;
    match (wanted, current) {
        (Value::Null, None) => {}
        (Value::Object(wanted), Some(Value::Object(current))) if !merge.replace => {
            let below = maps(object(before), wanted, current, definition, merge.retain_keys);
            if !below.is_empty() {
                patch.insert(name.to_owned(), Value::Object(below));
            }
        }
        (Value::Array(wanted), Some(Value::Array(current))) if merge.items => match merge.key {
            None => set(patch, name, array(before), wanted, current),
            Some(key) => {
                let list = List {
                    name,
                    key,
                    definition,
                    retain_keys: merge.retain_keys,
                };
                list.patch(patch, array(before), wanted, current);
            }
        },
        (wanted, Some(current)) if wanted == current => {}
        _ => {
            patch.insert(name.to_owned(), wanted.clone());
        }
    }
}

/// A list whose elements are told apart by a field.
struct List<'a> {
    name: &'a str,
    key: &'static str,
    definition: Option<&'static Definition>,
    retain_keys: bool,
}

impl List<'_> {
    fn patch(&self, patch: &mut Object, before: &[Value], wanted: &[Value], current: &[Value]) {
        if !self.has_distinct_keys(wanted) || !self.has_distinct_keys(current) {
            // The key does not tell these elements apart (port 53 by TCP and UDP): only the whole list says what is meant.
            if wanted != current {
                let mut whole = vec![json!({"$patch": "replace"})];
                whole.extend_from_slice(wanted);
                patch.insert(self.name.to_owned(), Value::Array(whole));
            }
            return;
        }
        let mut elements: Vec<Value> = wanted
            .iter()
            .filter_map(|element| self.element(before, element, current))
            .collect();
        for gone in before {
            let key = &gone[self.key];
            if self.find(wanted, key).is_none() && self.find(current, key).is_some() {
                elements.push(json!({"$patch": "delete", self.key: key}));
            }
        }
        let keys = |list: &[Value]| -> Vec<Value> { list.iter().map(|element| element[self.key].clone()).collect() };
        let (wanted_keys, current_keys) = (keys(wanted), keys(current));
        if elements.is_empty() && same_order(&wanted_keys, &current_keys) {
            return;
        }
        let order: Vec<Value> = wanted_keys.iter().map(|key| json!({self.key: key})).collect();
        if !order.is_empty() {
            patch.insert(format!("$setElementOrder/{}", self.name), Value::Array(order));
        }
        if !elements.is_empty() {
            patch.insert(self.name.to_owned(), Value::Array(elements));
        }
    }

    /// What one wanted element needs: itself when it is new, its differences and its key otherwise.
    fn element(&self, before: &[Value], wanted: &Value, current: &[Value]) -> Option<Value> {
        let key = &wanted[self.key];
        let Some(now) = self.find(current, key) else {
            return Some(wanted.clone());
        };
        let was = self.find(before, key).unwrap_or(&Value::Null);
        let mut below = maps(
            object(was),
            object(wanted),
            object(now),
            self.definition,
            self.retain_keys,
        );
        if below.is_empty() {
            return None;
        }
        below.insert(self.key.to_owned(), key.clone());
        Some(Value::Object(below))
    }

    fn find<'v>(&self, list: &'v [Value], key: &Value) -> Option<&'v Value> {
        list.iter().find(|element| &element[self.key] == key)
    }

    fn has_distinct_keys(&self, list: &[Value]) -> bool {
        list.iter().enumerate().all(|(index, element)| {
            let key = &element[self.key];
            !key.is_null() && self.find(&list[..index], key).is_none()
        })
    }
}

fn set(patch: &mut Object, name: &str, before: &[Value], wanted: &[Value], current: &[Value]) {
    let added: Vec<&Value> = wanted.iter().filter(|value| !current.contains(value)).collect();
    let gone: Vec<&Value> = before
        .iter()
        .filter(|value| !wanted.contains(value) && current.contains(value))
        .collect();
    if added.is_empty() && gone.is_empty() && same_order(wanted, current) {
        return;
    }
    if !wanted.is_empty() {
        patch.insert(format!("$setElementOrder/{name}"), json!(wanted));
    }
    if !added.is_empty() {
        patch.insert(name.to_owned(), json!(added));
    }
    if !gone.is_empty() {
        patch.insert(format!("$deleteFromPrimitiveList/{name}"), json!(gone));
    }
}

/// Whether `current` has what it shares with `wanted` in `wanted`'s order; what others added may stand between.
fn same_order(wanted: &[Value], current: &[Value]) -> bool {
    let shared_now = current.iter().filter(|value| wanted.contains(value));
    let shared_then = wanted.iter().filter(|value| current.contains(value));
    shared_now.eq(shared_then)
}

fn object(value: &Value) -> &Object {
    static NONE: LazyLock<Object> = LazyLock::new(Object::new);
    value.as_object().unwrap_or(&NONE)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
