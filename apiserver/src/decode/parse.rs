//! JSON and YAML to a value, noticing keys that stand twice in one object. The only file that knows YAML bodies.
//!
//! Depth is bounded by both parsers (128 levels), size by whoever reads the body.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::DecodeError;
use super::place::Place;

/// A body.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// What it says; of keys that stand twice, the last.
    pub(crate) value: Value,
    /// A sentence for each key that stands twice: `duplicate field "spec.nodeName"`.
    pub(crate) duplicates: Vec<String>,
}

/// Reads one JSON document.
pub(crate) fn json(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let failed = |error: serde_json::Error| DecodeError::Parse {
        format: "json",
        source_text: complaint(&error),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = parsed(&mut deserializer).map_err(failed)?;
    deserializer.end().map_err(failed)?;
    Ok(parsed)
}

/// What is wrong with a JSON text: of one that is cut off as Go says it, and so clients know it.
pub(crate) fn complaint(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => "unexpected end of JSON input".into(),
        false => error.to_string(),
    }
}

/// Reads one YAML document.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    parsed(serde_yaml::Deserializer::from_slice(bytes)).map_err(|error| DecodeError::Parse {
        format: "yaml",
        source_text: error.to_string(),
    })
}

/// The other way: JSON that was written here, as YAML.
pub(crate) fn to_yaml(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).expect("it was written here");
    serde_yaml::to_string(&value).expect("what is JSON can be written as YAML")
}

fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Parsed, D::Error> {
    let duplicates = RefCell::new(Vec::new());
    let seed = Node {
        place: Place::ROOT,
        duplicates: &duplicates,
    };
    let value = seed.deserialize(deserializer)?;
    Ok(Parsed {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// What is read at one place.
struct Node<'a> {
    place: Place<'a>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format!("{}: {value} is no number in JSON", self.place)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Node {
            place: self.place.index(list.len()),
            duplicates: self.duplicates,
        })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            let place = self.place.field(&key);
            let value = entries.next_value_seed(Node {
                place,
                duplicates: self.duplicates,
            })?;
            if map.contains_key(&key) {
                self.duplicates
                    .borrow_mut()
                    .push(format!("duplicate field \"{place}\""));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key; YAML's may be numbers and booleans, and are text in JSON.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }

    fn visit_string<E>(self, key: String) -> Result<String, E> {
        Ok(key)
    }

    fn visit_bool<E>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_i64<E>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_f64<E>(self, key: f64) -> Result<String, E> {
        Ok(key.to_string())
    }
}
