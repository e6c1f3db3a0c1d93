//! ConfigMaps: texts and bytes by key, at most a mebibyte of them.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names::config_key;
use minik_api::object::Object;
use serde_json::Value;

use super::fill::Fields;
use super::{AGE, Column, NAME, Rules, age, checks, fields};

/// The most that the values of a ConfigMap or Secret may come to.
pub(super) const DATA_MAX_BYTES: usize = 1024 * 1024;
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

pub(super) struct ConfigMaps;

impl Rules for ConfigMaps {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let (data, binary) = (fields(object, "data"), fields(object, "binaryData"));
        let mut errors = Vec::new();
        for key in keys(data) {
            let path = Path::new("data").key(key);
            checks::name(config_key, key, &path, &mut errors);
            if binary.is_some_and(|binary| binary.contains_key(key)) {
                errors.push(Error::invalid(&path, key, "duplicate of key present in binaryData"));
            }
        }
        for key in keys(binary) {
            checks::name(config_key, key, &Path::new("binaryData").key(key), &mut errors);
        }
        if size(data, str::len) + size(binary, decoded_len) > DATA_MAX_BYTES {
            errors.push(Error::too_long(&Path::new("[]"), DATA_MAX_BYTES));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = immutable(new, old, &["data", "binaryData"]);
        errors.extend(self.validate(new));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Data", "How many keys it has.").number(), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let count = keys(fields(object, "data")).count() + keys(fields(object, "binaryData")).count();
        vec![object.name().into(), count.into(), age(object, now).into()]
    }
}

/// What was said to be immutable stays as it is, and immutable.
pub(super) fn immutable(new: &Object, old: &Object, data: &[&str]) -> Vec<Error> {
    let said = |object: &Object| object.at("immutable") == Some(&Value::Bool(true));
    if !said(old) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    if !said(new) {
        errors.push(Error::forbidden(&Path::new("immutable"), IMMUTABLE));
    }
    for field in data
        .iter()
        .filter(|field| new.body.get(**field) != old.body.get(**field))
    {
        errors.push(Error::forbidden(&Path::new(field), IMMUTABLE));
    }
    errors
}

pub(super) fn keys(fields: Option<&Fields>) -> impl Iterator<Item = &str> {
    fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}

pub(super) fn size(fields: Option<&Fields>, len: impl Fn(&str) -> usize) -> usize {
    fields
        .into_iter()
        .flat_map(Fields::values)
        .filter_map(Value::as_str)
        .map(len)
        .sum()
}

/// How many bytes a base64 text holds.
pub(super) fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn map() -> Value {
        json!({"metadata": {"name": "m", "namespace": "default"}, "data": {"a": "1"}, "binaryData": {"b": "AA=="}})
    }

    #[test]
    fn keys_are_file_names_and_stand_once() {
        for (pointer, value, expected) in [
            ("/data/c", json!("2"), vec![]),
            (
                "/data/a~b",
                json!("2"),
                vec![format!("data[a~b]: Invalid value: \"a~b\": {}", config_key("a~b")[0])],
            ),
            (
                "/data/b",
                json!("2"),
                vec!["data[b]: Invalid value: \"b\": duplicate of key present in binaryData".into()],
            ),
            (
                "/data/c",
                json!("x".repeat(DATA_MAX_BYTES)),
                vec!["[]: Too long: may not be more than 1048576 bytes".into()],
            ),
        ] {
            assert_eq!(created("ConfigMap", with(map(), pointer, value)), expected, "{pointer}");
        }
        assert_eq!(decoded_len("AA=="), 1);
        assert_eq!(decoded_len(""), 0);
    }

    #[test]
    fn immutable_is_for_good() {
        let fixed = with(map(), "/immutable", json!(true));
        assert_eq!(updated("ConfigMap", map(), fixed.clone()), Vec::<String>::new());
        assert_eq!(
            updated("ConfigMap", fixed, with(map(), "/data/a", json!("2"))),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }

    #[test]
    fn tables_count_keys() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = ConfigMaps.cells(&decoded("ConfigMap", map()), now);
        assert_eq!(cells, [json!("m"), json!(2), json!("<unknown>")]);
    }
}
