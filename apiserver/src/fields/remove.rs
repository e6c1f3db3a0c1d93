//! A value without some of its fields and items.

use serde_json::{Map, Value};

use super::element::Element;
use super::set::Set;
use super::types::{Atom, Type};

/// The value without the members of the set; `null` when nothing is left of it.
pub(crate) fn remove(of: Type<'_>, value: &Value, fields: &Set) -> Value {
    if fields.is_empty() {
        return value.clone();
    }
    walk(of, value, fields).unwrap_or_default()
}

fn walk(of: Type<'_>, value: &Value, fields: &Set) -> Option<Value> {
    match (of.atom(value)?, value) {
        (Atom::Scalar, value) => Some(value.clone()),
        (Atom::Fields(of), Value::Object(map)) => object(of, map, fields),
        (atom @ (Atom::Set | Atom::Items(_)), Value::Array(list)) => items(atom, list, fields),
        // What is owned as a whole has no parts to lose.
        _ => None,
    }
}

fn object(of: Type<'_>, map: &Map<String, Value>, fields: &Set) -> Option<Value> {
    let mut left = Map::new();
    for (name, value) in map {
        let node = fields.get(&Element::Field(name.clone()));
        let value = match node {
            Some(node) if node.member => None,
            Some(node) => {
                let of = of.field(name).map_or(Type::Deduced, |part| part.of);
                walk(of, value, &node.below)
            }
            None => Some(value.clone()),
        };
        if let Some(value) = value {
            left.insert(name.clone(), value);
        }
    }
    (!left.is_empty()).then_some(Value::Object(left))
}

fn items(atom: Atom<'_>, list: &[Value], fields: &Set) -> Option<Value> {
    let mut left = Vec::with_capacity(list.len());
    for item in list {
        let element = atom.element(item).and_then(Result::ok);
        match element.and_then(|element| fields.get(&element)) {
            Some(node) if node.member => {}
            Some(node) => left.push(walk(atom.item(), item, &node.below).unwrap_or_default()),
            None => left.push(item.clone()),
        }
    }
    (!left.is_empty()).then_some(Value::Array(left))
}
