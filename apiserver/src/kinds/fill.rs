//! Filling in defaults: small hands for JSON objects. A value that is there is never touched.

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Fields = Map<String, Value>;

/// Sets a field that is absent.
pub(crate) fn absent(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if !fields.contains_key(name) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Sets a number that is absent or zero.
pub(crate) fn zero(fields: &mut Fields, name: &str, value: i64) {
    let is_zero = fields.get(name).is_none_or(|there| there.as_i64() == Some(0));
    if is_zero {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The object in a field, if there is one.
pub(crate) fn object<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name).and_then(Value::as_object_mut)
}

/// The object in a field; an empty one is put there when the field is absent.
pub(crate) fn object_or_empty<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    absent(fields, name, Fields::new());
    object(fields, name)
}

/// The objects in a list.
pub(crate) fn items<'a>(fields: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    let list = fields.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The text in a field; empty when there is none.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}
