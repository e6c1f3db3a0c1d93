//! What a template finds in a value, and how that is written.

use serde_json::Value;

use super::{Comparison, Part, Step};
use crate::print::gojson;

/// How what a path finds is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One beside the other.
    Text,
    /// As a list.
    Json,
}

pub(super) fn render(parts: &[Part], current: &Value, text: &mut String, form: Form) {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Path(steps) => {
                let found = walk(steps, current);
                if form == Form::Json {
                    text.push_str(&gojson::indented(&found.into_iter().cloned().collect()));
                    text.push('\n');
                } else {
                    let found: Vec<String> = found.into_iter().map(plain).collect();
                    text.push_str(&found.join(" "));
                }
            }
            Part::Range(steps, body) => {
                for item in walk(steps, current) {
                    render(body, item, text, form);
                }
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => gojson::compact(other),
    }
}

pub(super) fn walk<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    steps.iter().fold(vec![value], |found, step| match step {
        Step::Fields(names) => {
            let of = |name: &String| found.iter().filter_map(|value| member(value, name)).collect::<Vec<_>>();
            names.iter().flat_map(of).collect()
        }
        step => found.into_iter().flat_map(|value| apply(step, value)).collect(),
    })
}

fn apply<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Every => children(value),
        Step::Fields(names) => names.iter().filter_map(|name| member(value, name)).collect(),
        Step::Below(name) => {
            let mut found: Vec<&Value> = value.get(name).into_iter().collect();
            for child in children(value) {
                found.extend(apply(step, child));
            }
            found
        }
        Step::Indices(indices) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            indices
                .iter()
                .filter_map(|index| list.get(position(*index, list.len())?))
                .collect()
        }
        Step::Slice(from, to) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            let bound = |at: &Option<i64>, default| at.map_or(default, |at| position(at, list.len()).unwrap_or(0));
            let (from, to) = (bound(from, 0), bound(to, list.len()).min(list.len()));
            list.get(from..to).unwrap_or_default().iter().collect()
        }
        Step::Filter { path, test } => children(value)
            .into_iter()
            .filter(|child| {
                let found = walk(path, child);
                match test {
                    None => !found.is_empty(),
                    Some((comparison, wanted)) => found.iter().any(|found| compare(found, *comparison, wanted)),
                }
            })
            .collect(),
    }
}

/// A member by its name, or by a path of names: `metadata.name`.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let below = || name.split('.').try_fold(value, |value, name| value.get(name));
    value.get(name).or_else(below)
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// An index from the end is negative.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length + index } else { index }).ok()
}

fn compare(found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let order = match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.partial_cmp(&wanted),
        _ => found
            .as_str()
            .zip(wanted.as_str())
            .map(|(found, wanted)| found.cmp(wanted)),
    };
    match comparison {
        Equal => found == wanted || order.is_some_and(std::cmp::Ordering::is_eq),
        NotEqual => found != wanted && !order.is_some_and(std::cmp::Ordering::is_eq),
        Less => order.is_some_and(std::cmp::Ordering::is_lt),
        LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}
