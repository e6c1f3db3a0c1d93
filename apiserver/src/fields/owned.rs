//! The fields that a document speaks of: what whoever applies it becomes the owner of.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::Element;
use super::set::{Node, Set};
use super::types::{Atom, Type};

/// Every leaf of the value, every item of a list of parts, and every entry of a map.
pub(crate) fn fields_of(of: Type<'_>, value: &Value) -> Set {
    node(of, value).below
}

fn node(of: Type<'_>, value: &Value) -> Node {
    match of.atom(value) {
        None => Node::default(),
        Some(Atom::Scalar | Atom::Whole) => Node::leaf(),
        Some(Atom::Fields(of)) => below(fields(of, value)),
        Some(atom) => below(items(atom, value)),
    }
}

fn below(below: Set) -> Node {
    Node { member: false, below }
}

fn fields(of: Type<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        let Some(part) = of.field(name) else {
            continue;
        };
        let mut node = node(part.of, value);
        node.member |= !part.declared || is_nothing(value);
        set.put(Element::Field(name.clone()), node);
    }
    set
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Items that stand there twice are owned, but nothing below them: which of them would it be?
fn items(atom: Atom<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    for item in value.as_array().into_iter().flatten() {
        let Some(Ok(element)) = atom.element(item) else {
            continue;
        };
        if set.get(&element).is_some() {
            set = set.recursive_difference(&only(&element));
            set.put(element, Node::leaf());
            continue;
        }
        let mut node = node(atom.item(), item);
        node.member = true;
        set.put(element, node);
    }
    set
}

fn only(element: &Element) -> Set {
    let mut set = Set::default();
    set.put(element.clone(), Node::leaf());
    set
}

/// The set together with the declared fields that lead to its members: `a.b` becomes `a` and `a.b`, if `a` isn't the entry of a
/// map or an item. So removing what was applied also removes the objects that were there for nothing else.
pub(crate) fn with_declared(set: &Set, of: Type<'_>, value: &Value) -> Set {
    let atom = of.atom(value);
    let items = atom.map(|atom| by_element(atom, value)).unwrap_or_default();
    let mut all = Set::default();
    for (element, node) in set.iter() {
        let (inner, declared, child) = match (atom, element) {
            (Some(Atom::Fields(of)), Element::Field(name)) => match of.field(name) {
                Some(part) => (part.of, part.declared, value.get(name)),
                None => (Type::Deduced, false, value.get(name)),
            },
            (Some(atom), element) => (atom.item(), false, items.get(element).copied()),
            (None, _) => (Type::Deduced, false, None),
        };
        let node = Node {
            member: node.member || (declared && !node.below.is_empty()),
            below: match child {
                Some(child) => with_declared(&node.below, inner, child),
                None => node.below.clone(),
            },
        };
        all.put(element.clone(), node);
    }
    all
}

/// The items of a list, to be found by what tells them apart.
fn by_element<'v>(atom: Atom<'_>, value: &'v Value) -> BTreeMap<Element, &'v Value> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some((atom.element(item)?.ok()?, item)))
        .collect()
}
