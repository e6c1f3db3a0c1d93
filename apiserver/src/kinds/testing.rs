//! For the tests of kinds: a good object with one thing changed, and what the rules say to it.

use minik_api::field::Error;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use serde_json::Value;

use super::{Rules, rules};
use crate::decode;

pub(super) fn kind(name: &str) -> &'static Kind {
    kinds::all()
        .iter()
        .find(|kind| kind.kind == name)
        .expect("a kind that is served")
}

/// As the registry sees it: decoded and defaulted.
pub(super) fn decoded(name: &str, value: Value) -> Object {
    let (mut object, unknown) = decode::object(kind(name), value).expect("a body that decodes");
    assert_eq!(unknown, Vec::<String>::new());
    rules_of(name).defaults(&mut object);
    object
}

pub(super) fn rules_of(name: &str) -> &'static dyn Rules {
    rules(kind(name))
}

/// `value` at a JSON pointer; objects on the way are made, `null` takes away.
pub(super) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut here = &mut object;
    let (parents, last) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    for step in parents.split('/').skip(1) {
        here = match here {
            Value::Array(list) => &mut list[step.parse::<usize>().expect("an index")],
            other => {
                if other.is_null() {
                    *other = Value::Object(serde_json::Map::new());
                }
                &mut other[step]
            }
        };
    }
    match here {
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list[last.parse::<usize>().expect("an index")] = value,
        other => other[last] = value,
    }
    object
}

/// What creating says.
pub(super) fn created(name: &str, value: Value) -> Vec<String> {
    sentences(&rules_of(name).validate(&decoded(name, value)))
}

/// What updating says.
pub(super) fn updated(name: &str, old: Value, new: Value) -> Vec<String> {
    sentences(&rules_of(name).validate_update(&decoded(name, new), &decoded(name, old)))
}

pub(super) fn sentences(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The cells of a table, as texts; the object is of no age.
pub(super) fn cells(name: &str, value: Value) -> Vec<String> {
    let object = decoded(name, value);
    let rules = rules_of(name);
    let cells = rules.cells(&object, jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(cells.len(), rules.columns().len());
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    cells.iter().map(text).collect()
}
