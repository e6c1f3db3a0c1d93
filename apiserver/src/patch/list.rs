//! Strategic merge of lists: items that are told apart by a key, or values that stand once.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::strategic::{self, Known, MergeError, PATCH, type_name};

/// Merges item by item. The patch's items come in the patch's order, the others keep theirs.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    known: Known,
    key: Option<&'static str>,
) -> Result<Vec<Value>, MergeError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if uniform(original.iter().chain(&patch))? != "map[string]interface {}" {
        let mut merged = original.clone();
        merged.extend(patch.iter().cloned());
        return order(unique(merged), &patch, &original, None);
    }
    let Some(key) = key else {
        return Err(MergeError::NoKeyForList(
            known.map_or("", |definition| definition.name).to_owned(),
        ));
    };
    let (there, patch) = directives(original, patch, key)?;
    let mut places = Places::of(&there, Some(key));
    let mut merged = there.clone();
    for item in &patch {
        key_of(item, key)?;
        match places.find(item) {
            Some(index) => {
                let other = std::mem::take(&mut merged[index]);
                let both = strategic::merge(fields(other), fields(item.clone()), known)?;
                merged[index] = Value::Object(both);
            }
            None => {
                places.add(item, merged.len());
                merged.push(item.clone());
            }
        }
    }
    order(merged, &patch, &there, Some(key))
}

/// Follows `$patch` in items: what is left of the original, and of the patch.
fn directives(mut original: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), MergeError> {
    let (mut plain, mut deleted, mut replace) = (Vec::new(), Vec::new(), false);
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                key_of(&item, key)?;
                deleted.push(item);
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(MergeError::MergeDirective),
            _ => {
                return Err(MergeError::Directive {
                    directive: directive.clone(),
                    item,
                });
            }
        }
    }
    let deleted = Places::of(&deleted, Some(key));
    original.retain(|item| deleted.find(item).is_none());
    Ok(if replace {
        (plain, Vec::new())
    } else {
        (original, plain)
    })
}

/// Puts items that `order` names in that order, and the others between them as they stood in `before`.
pub(super) fn order(
    items: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, MergeError> {
    if let Some(key) = key {
        items.iter().try_for_each(|item| key_of(item, key).map(|_| ()))?;
    }
    let (order, before) = (Places::of(order, key), Places::of(before, key));
    let (named, others): (Vec<Value>, Vec<Value>) = items.into_iter().partition(|item| order.find(item).is_some());
    let (mut named, mut others) = (sorted(named, &order), sorted(others, &before));
    let mut all = Vec::with_capacity(named.len() + others.len());
    while let (Some(ours), Some(theirs)) = (others.front(), named.front()) {
        let first = match (before.find(ours), before.find(theirs)) {
            (Some(ours), Some(theirs)) => ours < theirs,
            _ => false,
        };
        all.extend(if first { others.pop_front() } else { named.pop_front() });
    }
    all.extend(named);
    all.extend(others);
    Ok(all)
}

/// Sorts by place. An item without one goes before all that stand before it, as upstream's insertion sort has it.
fn sorted(items: Vec<Value>, places: &Places<'_>) -> VecDeque<Value> {
    let mut sorted: VecDeque<Value> = VecDeque::with_capacity(items.len());
    let all_known = items.iter().all(|item| places.find(item).is_some());
    if all_known {
        let mut items = items;
        items.sort_by_key(|item| places.find(item));
        return items.into();
    }
    for item in items {
        let place = places.find(&item);
        let after = sorted.iter().rposition(|other| match (place, places.find(other)) {
            (Some(place), Some(other)) => place >= other,
            _ => false,
        });
        sorted.insert(after.map_or(0, |index| index + 1), item);
    }
    sorted
}

/// Where items stand in a list, found by key or value in constant time: a body can hold a hundred thousand of them.
struct Places<'a> {
    first: HashMap<String, usize>,
    key: Option<&'a str>,
}

impl<'a> Places<'a> {
    fn of(list: &[Value], key: Option<&'a str>) -> Self {
        let mut places = Self {
            first: HashMap::with_capacity(list.len()),
            key,
        };
        for (index, item) in list.iter().enumerate() {
            places.add(item, index);
        }
        places
    }

    fn add(&mut self, item: &Value, index: usize) {
        if let Some(text) = self.text(item) {
            self.first.entry(text).or_insert(index);
        }
    }

    fn find(&self, item: &Value) -> Option<usize> {
        self.first.get(&self.text(item)?).copied()
    }

    /// What tells the item apart; none when it lacks the key.
    fn text(&self, item: &Value) -> Option<String> {
        match self.key {
            Some(key) => item.get(key).map(Value::to_string),
            None => Some(item.to_string()),
        }
    }
}

/// The patch's items have to stand in the order that it asks for; those that it deletes don't count.
pub(super) fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), MergeError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let directive = |item: &Value| key.and_then(|_| item.get(PATCH).cloned());
    let mut items = patch
        .iter()
        .filter(|item| directive(item).is_none_or(|directive| directive != "delete"));
    let mut rest = order.iter();
    let mut item = items.next();
    while let Some(ours) = item {
        // Upstream looks whether an item directs only while there is something left to compare it with.
        let Some(theirs) = rest.clone().next() else {
            return Err(MergeError::OrderMismatch {
                patch: Value::Array(patch.to_vec()),
                order: Value::Array(order.to_vec()),
            });
        };
        if directive(ours).is_some() {
            item = items.next();
            continue;
        }
        if let Some(key) = key {
            key_of(ours, key)?;
            key_of(theirs, key)?;
        }
        rest.next();
        if same(ours, theirs, key) {
            item = items.next();
        }
    }
    Ok(())
}

/// The one type of all items, as Go calls it.
pub(super) fn uniform<'a>(items: impl Iterator<Item = &'a Value>) -> Result<&'static str, MergeError> {
    let mut name = "";
    for item in items {
        let found = type_name(item);
        if found == "[]interface {}" {
            return Err(MergeError::ListOfLists);
        }
        if !name.is_empty() && name != found {
            return Err(MergeError::MixedList(item.clone()));
        }
        name = found;
    }
    Ok(name)
}

fn same(one: &Value, other: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => one.get(key) == other.get(key),
        None => one == other,
    }
}

/// Without the values of `values`.
pub(super) fn without(mut list: Vec<Value>, values: &[Value]) -> Vec<Value> {
    let values = Places::of(values, None);
    list.retain(|item| values.find(item).is_none());
    list
}

fn unique(items: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::with_capacity(items.len());
    items.into_iter().filter(|item| seen.insert(item.to_string())).collect()
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, MergeError> {
    let no_key = || MergeError::NoMergeKey {
        item: item.clone(),
        key: key.to_owned(),
    };
    match item {
        Value::Object(map) => map.get(key).ok_or_else(no_key),
        other => Err(MergeError::Type {
            expected: "map[string]interface {}",
            found: type_name(other),
        }),
    }
}

fn fields(item: Value) -> Map<String, Value> {
    match item {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
