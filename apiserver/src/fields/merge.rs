//! An applied document put into the object: nothing goes away by this, and what both have is the applied one's.
//!
//! Lists of parts keep the object's order, but for the items that the document has: those take its order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::element::Element;
use super::types::{Atom, Type};

/// The object with the document in it.
pub(crate) fn merge(of: Type<'_>, object: &Value, applied: &Value) -> Value {
    walk(of, Some(object), Some(applied)).unwrap_or_default()
}

fn walk(of: Type<'_>, ours: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let atom = applied
        .and_then(|value| of.atom(value))
        .or_else(|| ours.and_then(|value| of.atom(value)));
    let empty = |value: Option<&Value>| match value {
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => true,
    };
    match atom {
        None | Some(Atom::Scalar | Atom::Whole) => applied.or(ours).cloned(),
        Some(_) if empty(ours) && empty(applied) => applied.or(ours).cloned(),
        Some(Atom::Fields(of)) => fields(of, ours, applied),
        Some(atom) => items(atom, ours, applied),
    }
}

fn fields(of: Type<'_>, ours: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let (ours, applied) = (ours.and_then(Value::as_object), applied.and_then(Value::as_object));
    let mut merged = Map::new();
    let new = applied
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| ours.is_none_or(|ours| !ours.contains_key(*name)));
    for name in ours.into_iter().flatten().map(|(name, _)| name).chain(new) {
        let (ours, applied) = (
            ours.and_then(|map| map.get(name)),
            applied.and_then(|map| map.get(name)),
        );
        let value = match of.field(name) {
            Some(part) => walk(part.of, ours, applied),
            // What the type hasn't got stays as it is; a document with such a field doesn't come this far.
            None => ours.cloned(),
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value);
        }
    }
    (!merged.is_empty()).then_some(Value::Object(merged))
}

/// A list's items by what tells them apart; `None` for those that stand there more than once, which can't be merged.
type Index<'v> = BTreeMap<Element, Option<&'v Value>>;

fn index<'v>(atom: Atom<'_>, list: Option<&'v Value>) -> (Vec<(Element, &'v Value)>, Index<'v>) {
    let (mut order, mut index) = (Vec::new(), Index::new());
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        if let Some(Ok(element)) = atom.element(item) {
            let value = if index.contains_key(&element) { None } else { Some(item) };
            index.insert(element.clone(), value);
            order.push((element, item));
        }
    }
    (order, index)
}

/// Both lists are walked at once. An item of ours that the document has too waits until the document comes to it; `next` is the
/// first of those that the document hasn't come to yet, and ours is walked up to it.
fn items(atom: Atom<'_>, ours: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let (our_order, our_items) = index(atom, ours);
    let (applied_order, applied_items) = index(atom, applied);
    let mut shared = applied_order
        .iter()
        .map(|(element, _)| element)
        .filter(|element| our_items.contains_key(element));
    let mut next = shared.next();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let mut merged = Vec::with_capacity(our_order.len().max(applied_order.len()));
    let both = |element: &Element| {
        let ours = our_items.get(element).copied().flatten();
        walk(atom.item(), ours, applied_items.get(element).copied().flatten())
    };
    let (mut our, mut their) = (our_order.iter().peekable(), applied_order.iter().peekable());
    while our.peek().is_some() || their.peek().is_some() {
        if let (Some((element, _)), Some((wanted, _))) = (our.peek(), their.peek()) {
            if element == wanted {
                done.insert(element);
                merged.extend(both(element));
                our.next();
                their.next();
                next = shared.next();
                continue;
            }
            if applied_items.contains_key(element) && next.is_some_and(|next| next != element) {
                our.next();
                continue;
            }
        }
        if let Some((element, item)) = our.peek() {
            if !applied_items.contains_key(element) {
                merged.extend(walk(atom.item(), Some(item), None));
                our.next();
                continue;
            }
            if done.contains(element) {
                our.next();
            }
        }
        if let Some((element, _)) = their.next() {
            done.insert(element);
            merged.extend(both(element));
            if next == Some(element) {
                next = shared.next();
            }
        }
    }
    (!merged.is_empty()).then_some(Value::Array(merged))
}
