//! Looking inside objects without their typed structs. Decoding has checked the types, so what has another one is read as
//! absent; kinds with few rules are read this way because each typed struct costs code in the executable.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What stands at a dotted path below a value.
pub(crate) fn at<'a>(value: Option<&'a Value>, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value?, |value, name| value.get(name))
}

/// A text; empty when it is absent.
pub(crate) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list.
pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts in a list.
pub(crate) fn texts(value: Option<&Value>) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// The entries of a map of texts.
pub(crate) fn pairs(value: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Whether there is nothing: absent, or an empty list, map or text.
pub(crate) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

/// One of the small typed forms (a label selector); none when it is absent.
pub(crate) fn typed<T: DeserializeOwned>(value: Option<&Value>) -> Option<T> {
    T::deserialize(value?).ok()
}

/// The same for all items of a list; what has another type is left out.
pub(crate) fn typed_list<T: DeserializeOwned>(list: &[Value]) -> Vec<T> {
    list.iter().filter_map(|item| typed(Some(item))).collect()
}

/// A value, or the word that tables show for none.
pub(crate) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_absent_is_empty() {
        let value = json!({"a": {"b": ["x", 1, "y"], "c": "t", "m": {"k": "v", "n": 1}}});
        assert_eq!(texts(at(Some(&value), "a.b")), ["x", "y"]);
        assert_eq!(text(at(Some(&value), "a.c")), "t");
        assert_eq!(pairs(at(Some(&value), "a.m")).collect::<Vec<_>>(), [("k", "v")]);
        assert_eq!(text(at(Some(&value), "a.c.d")), "");
        assert!(list(at(None, "a")).is_empty());
        assert!(is_empty(Some(&json!([]))) && is_empty(None) && !is_empty(Some(&json!(0))));
        assert_eq!(or_none(""), "<none>");
    }
}
