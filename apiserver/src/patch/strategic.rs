//! Strategic merge: objects field by field, lists as the table of shapes says.
//!
//! What a patch says is data, but for these keys, which say what to do with it:
//! - `$patch: replace|delete|merge` in an object, or in an item of a list for that list;
//! - `$retainKeys: [a, b]`: of the object only these fields stay;
//! - `$setElementOrder/field: [...]`: the order of the list's items, what the patch doesn't know keeping its place;
//! - `$deleteFromPrimitiveList/field: [...]`: these values leave the list.
//!
//! The rules are apimachinery's `util/strategicpatch`, proved against it (see the tests).

use std::collections::HashSet;

use minik_api::schema::{Definition, Field, Merge, Shape};
use serde_json::{Map, Value};

use super::list;

pub(super) const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// The patch can't be applied.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum MergeError {
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: Value, key: String },
    #[error("unknown patch type: {directive} in map: {item}")]
    Directive { directive: Value, item: Value },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    #[error("cannot merge lists without merge key for {0}")]
    NoKeyForList(String),
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("list element types are not identical: {0}")]
    MixedList(Value),
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("invalid patch format of primitive list")]
    DeleteFrom,
    #[error("no elements in any of the given slices")]
    NothingToOrder,
    #[error("invalid patch format of setElementOrder list")]
    SetOrder,
    #[error("unable to find api field {field} in {owner}")]
    UnknownField { field: String, owner: String },
    #[error("expected a {expected}, but received a {found}")]
    Type {
        expected: &'static str,
        found: &'static str,
    },
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch { patch: Value, order: Value },
}

/// What is known of an object: its definition, or only that it is a map.
pub(super) type Known = Option<&'static Definition>;

/// The object with the patch in it.
pub(super) fn merge(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    known: Known,
) -> Result<Map<String, Value>, MergeError> {
    if let Some(directive) = patch.get(PATCH).cloned() {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(MergeError::Directive {
                directive,
                item: Value::Object(patch),
            }),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, known)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM) {
            Some(list) => delete_from(&mut original, list, &value)?,
            None if key.starts_with(DELETE_FROM.trim_end_matches('/')) => return Err(MergeError::DeleteFrom),
            None => field(&mut original, key, value, known)?,
        }
    }
    Ok(original)
}

/// One field of the patch.
fn field(original: &mut Map<String, Value>, key: String, value: Value, known: Known) -> Result<(), MergeError> {
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), value) {
        (Some(Value::Object(there)), Value::Object(patch)) => {
            let (known, merge_rule) = inside(known, &key)?;
            if merge_rule.replace {
                Some(Value::Object(patch))
            } else {
                Some(Value::Object(merge(there, patch, known)?))
            }
        }
        (Some(Value::Array(there)), Value::Array(patch)) => {
            let (known, merge_rule) = inside(known, &key)?;
            if merge_rule.items {
                Some(Value::Array(list::merge(there, patch, known, merge_rule.key)?))
            } else {
                Some(Value::Array(patch))
            }
        }
        // A text in the place of a text may hold what it wants.
        (Some(there), value) if same_type(&there, &value) => Some(value),
        (_, mut value) => {
            discard_nulls(&mut value);
            without_directives(value)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// What is known of a field's object or items, and how it merges. An unknown field of a known object can't be merged.
pub(super) fn inside(known: Known, key: &str) -> Result<(Known, Merge), MergeError> {
    let Some(definition) = known else {
        return Ok((None, Merge::default()));
    };
    let field: &Field = definition.field(key).ok_or_else(|| MergeError::UnknownField {
        field: key.to_owned(),
        owner: definition.name.to_owned(),
    })?;
    let inner = match &field.shape {
        // The values of a map have no field of their own to merge by.
        Shape::Map(..) => None,
        shape => shape.definition(),
    };
    Ok((inner, field.merge))
}

/// What the patch doesn't retain goes away.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), MergeError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(keys) = keys else {
        return Err(MergeError::RetainKeys);
    };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let retained = |key: &str| keys.contains(key);
    let consistent = patch.iter().all(|(key, value)| {
        value.is_null() || key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER) || retained(key)
    });
    if !consistent {
        return Err(MergeError::RetainKeys);
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

/// Merges and orders the lists for which the patch gives an order; they are done then.
fn order_lists(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    known: Known,
) -> Result<(), MergeError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with("$setElementOrder"))
        .cloned()
        .collect();
    for directive in directives {
        let order = patch.remove(&directive).unwrap_or_default();
        let order = array(order)?;
        let Some(key) = directive.strip_prefix(SET_ORDER) else {
            return Err(MergeError::SetOrder);
        };
        let there = original.get(key).cloned().map(array).transpose()?;
        let patched = patch.get(key).cloned().map(array).transpose()?;
        let (inner, merge_rule) = inside(known, key)?;
        list::check_order(patched.as_deref().unwrap_or_default(), &order, merge_rule.key)?;
        let nothing = |list: &Option<Vec<Value>>| list.as_ref().is_none_or(Vec::is_empty);
        let nothing_to_order = nothing(&there) && nothing(&patched);
        let merged = match (&there, patched) {
            (None, None) => continue,
            (Some(there), None) => there.clone(),
            (None, Some(patched)) => list_without_directives(patched),
            (Some(there), Some(patched)) if merge_rule.items => {
                list::merge(there.clone(), patched, inner, merge_rule.key)?
            }
            (Some(_), Some(patched)) => patched,
        };
        if nothing_to_order {
            return Err(MergeError::NothingToOrder);
        }
        let ordered = list::order(merged, &order, &there.unwrap_or_default(), merge_rule.key)?;
        original.insert(key.to_owned(), Value::Array(ordered));
        patch.remove(key);
    }
    Ok(())
}

fn delete_from(original: &mut Map<String, Value>, key: &str, values: &Value) -> Result<(), MergeError> {
    if values.is_null() {
        original.remove(key);
        return Ok(());
    }
    if let (Some(Value::Array(list)), Value::Array(values)) = (original.get_mut(key), values) {
        list::uniform(list.iter().chain(values))?;
        *list = list::without(std::mem::take(list), values);
    }
    Ok(())
}

fn array(value: Value) -> Result<Vec<Value>, MergeError> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(MergeError::Type {
            expected: "[]interface {}",
            found: type_name(&other),
        }),
    }
}

fn same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// `null` in what is new says that there is nothing.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// What is new has nothing to direct; an object that carries a directive isn't there at all.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let kept = map
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::Array(list_without_directives(list))),
        other => Some(other),
    }
}

fn list_without_directives(list: Vec<Value>) -> Vec<Value> {
    list.into_iter().filter_map(without_directives).collect()
}

/// What Go calls the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
