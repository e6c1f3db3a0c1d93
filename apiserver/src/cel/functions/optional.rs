//! Values that may be missing: `object.?field.orValue(0)`, `optional.none()`.

use super::Maybe;
use crate::cel::Failure;
use crate::cel::value::Value;

/// `optional.of`, `optional.none`, `optional.ofNonZeroValue`.
pub(super) fn make<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    Ok(Some(match (name, values) {
        ("none", []) => Value::Optional(None),
        ("of", [value]) => Value::some(value.clone()),
        ("ofNonZeroValue", [value]) => match is_zero(value) {
            true => Value::Optional(None),
            false => Value::some(value.clone()),
        },
        _ => return Ok(None),
    }))
}

/// A function of an optional value; `or` and `orValue` are the evaluation's own.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [Value::Optional(inner)] = values else {
        return Ok(None);
    };
    match name {
        "hasValue" => Ok(Some(Value::Bool(inner.is_some()))),
        "value" => match inner {
            Some(value) => Ok(Some((**value).clone())),
            None => Err(Failure::new("optional.none() dereference")),
        },
        _ => Ok(None),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Optional(None) => true,
        Value::Double(number) => *number == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Duration(duration) => duration.is_zero(),
        _ => false,
    }
}
