//! What has changed between two values of a type, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::Element;
use super::set::{Node, Set};
use super::types::{Atom, Type};

/// The fields that differ; each is in one of the sets alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Weren't there.
    pub(crate) added: Set,
    /// Have another value.
    pub(crate) modified: Set,
    /// Are gone.
    pub(crate) removed: Set,
}

impl Changes {
    /// The same without what is at and below these fields.
    pub(crate) fn without(self, fields: &Set) -> Self {
        Self {
            added: self.added.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            removed: self.removed.recursive_difference(fields),
        }
    }
}

/// From `old` to `new`.
pub(crate) fn compare(of: Type<'_>, old: &Value, new: &Value) -> Changes {
    let here = walk(of, Some(old), Some(new));
    Changes {
        added: here.added.below,
        modified: here.modified.below,
        removed: here.removed.below,
    }
}

/// The same for one field of an object, which may have come or gone.
pub(crate) fn compare_field(of: Type<'_>, name: &str, old: Option<&Value>, new: Option<&Value>) -> Changes {
    let mut here = Here::default();
    field(&mut here, of, name, [old, new], true);
    Changes {
        added: here.added.below,
        modified: here.modified.below,
        removed: here.removed.below,
    }
}

/// What has changed at and below one field.
#[derive(Default)]
struct Here {
    added: Node,
    modified: Node,
    removed: Node,
}

impl Here {
    /// A field that is one thing.
    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut here = Self::default();
        match (old, new) {
            (None, Some(_)) => here.added.member = true,
            (Some(_), None) => here.removed.member = true,
            (old, new) => here.modified.member = old != new,
        }
        here
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn put(&mut self, element: &Element, below: Self) {
        for (set, node) in [
            (&mut self.added, below.added),
            (&mut self.modified, below.modified),
            (&mut self.removed, below.removed),
        ] {
            if !node.is_empty() {
                set.below.put(element.clone(), node);
            }
        }
    }
}

fn walk(of: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Here {
    let atom = |value: Option<&Value>| value.and_then(|value| of.atom(value));
    match (atom(old), atom(new)) {
        (None, None) => Here::leaf(old, new),
        (Some(atom), None) | (None, Some(atom)) => parts(atom, old, new),
        (Some(Atom::Fields(_)), Some(atom)) | (Some(_), Some(atom @ Atom::Fields(_))) if !both_objects(old, new) => {
            // Only where nothing is known of the type: what was an object is one no more, or the other way round.
            let mut here = match atom {
                Atom::Fields(of) => fields(of, None, new),
                _ => fields(Type::Deduced, old, None),
            };
            here.modified.member = true;
            here
        }
        (Some(_), Some(atom)) => parts(atom, old, new),
    }
}

/// `null` stands for an object here.
fn both_objects(old: Option<&Value>, new: Option<&Value>) -> bool {
    [old, new]
        .into_iter()
        .flatten()
        .all(|value| value.is_object() || value.is_null())
}

/// Nothing in nothing's place is a leaf, so that an empty list isn't the same as none.
fn parts(atom: Atom<'_>, old: Option<&Value>, new: Option<&Value>) -> Here {
    let empty = |value: Option<&Value>| match value {
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => true,
    };
    let mut here = match atom {
        Atom::Scalar | Atom::Whole => return Here::leaf(old, new),
        _ if empty(old) && empty(new) => return Here::leaf(old, new),
        Atom::Fields(of) => fields(of, old, new),
        Atom::Set | Atom::Items(_) => items(atom, old, new),
    };
    here.added.member = old.is_none();
    here.removed.member = new.is_none();
    here
}

fn fields(of: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Here {
    let mut here = Here::default();
    let (old_map, new_map) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    let both = old_map.is_some() && new_map.is_some();
    for (name, old) in old_map.into_iter().flatten() {
        let new = new_map.and_then(|map| map.get(name));
        field(&mut here, of, name, [Some(old), new], both);
    }
    for (name, new) in new_map.into_iter().flatten() {
        if old_map.is_none_or(|map| !map.contains_key(name)) {
            field(&mut here, of, name, [None, Some(new)], both);
        }
    }
    here
}

/// A field, old and new; `both`: the objects that it is in are both there.
fn field(here: &mut Here, of: Type<'_>, name: &str, [old, new]: [Option<&Value>; 2], both: bool) {
    if let Some(part) = of.field(name) {
        let absent = part.absent.filter(|_| both);
        let below = walk(part.of, old.or(absent), new.or(absent));
        if !below.is_empty() {
            here.put(&Element::Field(name.to_owned()), below);
        }
    }
}

/// Items that stand there more than once are compared as one thing.
fn items(atom: Atom<'_>, old: Option<&Value>, new: Option<&Value>) -> Here {
    let mut found: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for item in old.and_then(Value::as_array).into_iter().flatten() {
        if let Some(Ok(element)) = atom.element(item) {
            found.entry(element).or_default().0.push(item);
        }
    }
    for item in new.and_then(Value::as_array).into_iter().flatten() {
        if let Some(Ok(element)) = atom.element(item) {
            found.entry(element).or_default().1.push(item);
        }
    }
    let mut here = Here::default();
    for (element, (old, new)) in found {
        let below = match (old.as_slice(), new.as_slice()) {
            ([], [new]) => walk(atom.item(), None, Some(new)),
            ([old], []) => walk(atom.item(), Some(old), None),
            ([old], [new]) => walk(atom.item(), Some(old), Some(new)),
            ([_, _, ..], [_, _, ..]) => {
                let mut below = Here::default();
                below.modified.member = old != new;
                below
            }
            ([_, _, ..], new) => {
                let mut below = new
                    .first()
                    .map(|new| walk(atom.item(), None, Some(new)))
                    .unwrap_or_default();
                below.removed.member = true;
                below
            }
            (old, _) => {
                let mut below = old
                    .first()
                    .map(|old| walk(atom.item(), Some(old), None))
                    .unwrap_or_default();
                below.added.member = true;
                below
            }
        };
        here.put(&element, below);
    }
    here
}
