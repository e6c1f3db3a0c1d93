//! The JSON form of a set of fields: `FieldsV1`, as it stands in `managedFields`.
//!
//! `{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`: an object with nothing in it is a member; one with something in it is a
//! member when it has `"."`.

use serde_json::{Map, Value};

use super::element::{Element, InvalidElement};
use super::set::{Node, Set};

/// Deeper than any object that the API takes.
const READ_DEPTH_MAX: usize = 256;
/// What is deeper in an object is owned together with what is above it: the set stands deep inside the object already, and
/// JSON isn't read below 128 levels.
const WRITTEN_DEPTH_MAX: usize = 100;

/// What is no set of fields.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSet {
    /// One of the keys.
    #[error(transparent)]
    Element(#[from] InvalidElement),
    /// A list, a text, a number.
    #[error("a set of fields is made of objects")]
    NotAnObject,
    /// It goes on and on.
    #[error("the set of fields is nested too deeply")]
    TooDeep,
}

/// The set as JSON.
pub(crate) fn encode(set: &Set) -> Value {
    encode_to(set, WRITTEN_DEPTH_MAX)
}

fn encode_to(set: &Set, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Object(Map::new());
    };
    let nodes = set.iter().map(|(element, node)| {
        let mut below = encode_to(&node.below, depth);
        if let Value::Object(map) = &mut below
            && node.member
            && !map.is_empty()
        {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        (element.key(), below)
    });
    Value::Object(nodes.collect())
}

/// The set of this JSON.
pub(crate) fn decode(value: &Value) -> Result<Set, InvalidSet> {
    node(value, READ_DEPTH_MAX).map(|node| node.below)
}

fn node(value: &Value, depth: usize) -> Result<Node, InvalidSet> {
    let map = match value {
        Value::Object(map) => map,
        Value::Null => return Ok(Node::leaf()),
        _ => return Err(InvalidSet::NotAnObject),
    };
    let depth = depth.checked_sub(1).ok_or(InvalidSet::TooDeep)?;
    let mut found = Node::default();
    for (key, value) in map {
        if key == "." {
            found.member = true;
        } else if let Some(element) = Element::parse(key)? {
            found.below.put(element, node(value, depth)?);
        }
    }
    found.member |= found.below.is_empty();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_comes_back() {
        let value = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {
            "k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {}}}}},
            "f:status": {"f:conditions": {"v:1": {}, "i:0": {}}}});
        let set = decode(&value).expect("a set");
        assert_eq!(encode(&set), value);
        assert_eq!(decode(&encode(&set)), Ok(set));
        assert_eq!(decode(&json!({})), Ok(Set::default()));
        assert_eq!(encode(&Set::default()), json!({}));
        assert_eq!(decode(&json!({"x:later": {"f:a": {}}, "f:a": {}})), Ok(Set::of(&["a"])));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(decode(&json!({"f:a": 1})), Err(InvalidSet::NotAnObject));
        assert!(decode(&json!({"a": {}})).is_err());
        let mut deep = json!({});
        for _ in 0..1000 {
            deep = json!({"f:a": deep});
        }
        assert_eq!(decode(&deep), Err(InvalidSet::TooDeep));
    }

    #[test]
    fn what_is_too_deep_is_owned_with_what_is_above_it() {
        let path = vec![Element::Field("a".into()); 120];
        let mut set = Set::default();
        set.insert(&path);
        let cut = decode(&encode(&set)).expect("a set");
        assert!(cut.has(&path[..100]) && !cut.has(&path));
    }
}
