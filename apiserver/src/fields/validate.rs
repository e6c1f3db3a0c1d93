//! Whether a document fits its type, before it is applied: unlike other bodies it isn't decoded first, since what it doesn't
//! say matters as much as what it says.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::element::Element;
use super::types::{Atom, Type, Wanted};

/// All that doesn't fit, as upstream says it (structured-merge-diff's `ValidationErrors`).
pub(crate) fn validate(of: Type<'_>, document: &Value) -> Result<(), String> {
    let mut errors = Vec::new();
    walk(of, document, "", &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(many.iter().fold("errors:".to_owned(), |mut text, error| {
            let _ = write!(text, "\n  {error}");
            text
        })),
    }
}

fn walk(of: Type<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if let Some(complaint) = complaint(of.wants(), value) {
        errors.push(at(path, &complaint));
        return;
    }
    match (of.atom(value), value) {
        (Some(Atom::Fields(of)), Value::Object(map)) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                match of.field(name) {
                    Some(part) => walk(part.of, value, &path, errors),
                    None => errors.push(at(&path, "field not declared in schema")),
                }
            }
        }
        (Some(atom @ (Atom::Items(_) | Atom::Set)), Value::Array(list)) => items(atom, list, path, errors),
        (Some(Atom::Whole), Value::Object(map)) => {
            let of = whole(of);
            for (name, value) in map {
                let path = format!("{path}.{name}");
                match of.field(name) {
                    Some(part) => walk(part.of, value, &path, errors),
                    None => errors.push(at(&path, "field not declared in schema")),
                }
            }
        }
        (Some(Atom::Whole), Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                walk(of.items(), item, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

/// What is owned as a whole has fields all the same.
fn whole(of: Type<'_>) -> Type<'_> {
    match of {
        Type::Shape(minik_api::schema::Shape::Object(reference), _) => Type::Definition(reference.get(), true),
        other => other,
    }
}

fn items(atom: Atom<'_>, list: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen: BTreeSet<Element> = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let element = match atom.element(item) {
            Some(Ok(element)) => element,
            Some(Err(error)) => {
                errors.push(at(path, &format!("element {index}: {error}")));
                return;
            }
            None => return,
        };
        if seen.contains(&element) {
            errors.push(at(path, &format!("duplicate entries for key {element}")));
        }
        walk(atom.item(), item, &format!("{path}{element}"), errors);
        seen.insert(element);
    }
}

fn at(path: &str, complaint: &str) -> String {
    match path {
        "" => complaint.to_owned(),
        path => format!("{path}: {complaint}"),
    }
}

fn complaint(wanted: Wanted, value: &Value) -> Option<String> {
    let fits = match wanted {
        Wanted::Anything => true,
        _ if value.is_null() => true,
        Wanted::Number => value.is_number(),
        Wanted::Text => value.is_string(),
        Wanted::Truth => value.is_boolean(),
        Wanted::AnyScalar => value.is_number() || value.is_string() || value.is_boolean(),
        Wanted::List => value.is_array(),
        Wanted::Object => value.is_object(),
    };
    if fits {
        return None;
    }
    // Go prints the wrapper of the value.
    let wrapped = match value {
        Value::String(text) => format!("&{{{text}}}"),
        other => format!("&{{{other}}}"),
    };
    Some(match wanted {
        Wanted::Number => format!("expected numeric (int or float), got {}", go_type(value)),
        Wanted::Text => format!("expected string, got &value.valueUnstructured{{Value:{value}}}"),
        Wanted::Truth => format!("expected boolean, got {wrapped}"),
        Wanted::AnyScalar => format!("expected any scalar, got {wrapped}"),
        Wanted::List => format!("expected list, got {wrapped}"),
        _ => format!("expected map, got {wrapped}"),
    })
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        _ => "float64",
    }
}
