//! `Element`: one step of the way to a field, as server-side apply names it.
//!
//! A way begins at the object: `.spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].name`. In
//! `managedFields` an element is a key of a JSON object (`f:name`, `k:{"name":"web"}`, `v:"text"`, `i:3`). Order and both
//! spellings are those of structured-merge-diff, since clients compare and read them.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of an object, or an entry of a map.
    Field(String),
    /// The item of a list with these fields, which are sorted by name.
    Key(Vec<(String, Scalar)>),
    /// The item of a set.
    Value(Scalar),
    /// The item at this place; written by nobody, but read.
    Index(i64),
}

/// A value that can tell items apart. Numbers are equal by value: 80 is 80.0.
#[derive(Clone, Debug)]
pub(crate) struct Scalar(Value);

impl Scalar {
    /// This value.
    pub(crate) fn new(value: &Value) -> Self {
        Self(value.clone())
    }

    /// The order of types: numbers, texts, truths, and then what has no business here.
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }

    /// As JSON in a key; like Go's encoder, with what HTML would read escaped.
    fn json(&self) -> String {
        let text = self.0.to_string();
        if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            return text;
        }
        let escaped = text.chars().map(|letter| match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(letter)),
            other => other.to_string(),
        });
        escaped.collect()
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(one), Value::Number(other)) => numbers(one, other),
            (Value::String(one), Value::String(other)) => one.cmp(other),
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (one, another) => {
                let rank = self.rank().cmp(&other.rank());
                rank.then_with(|| one.to_string().cmp(&another.to_string()))
            }
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scalar {}

fn numbers(one: &Number, other: &Number) -> Ordering {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or_default();
            float(one).total_cmp(&float(other))
        }
    }
}

/// A key of `managedFields` that is no element.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path element")]
pub(crate) struct InvalidElement(String);

impl Element {
    /// Reads a key of `managedFields`. `None` for kinds of elements that nobody knows yet: they are left out.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, InvalidElement> {
        let invalid = || InvalidElement(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(invalid)?;
        match kind {
            "f" => Ok(Some(Self::Field(rest.to_owned()))),
            "k" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).map_err(|_| invalid())?;
                let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, Scalar(value))).collect();
                fields.sort();
                Ok(Some(Self::Key(fields)))
            }
            "v" => {
                let value = serde_json::from_str(rest).map_err(|_| invalid())?;
                Ok(Some(Self::Value(Scalar(value))))
            }
            "i" => rest
                .parse()
                .map(|index| Some(Self::Index(index)))
                .map_err(|_| invalid()),
            _ if kind.len() == 1 => Ok(None),
            _ => Err(invalid()),
        }
    }

    /// As a key of `managedFields`.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), value.json()))
                    .collect();
                format!("k:{{{}}}", fields.join(","))
            }
            Self::Value(value) => format!("v:{}", value.json()),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

/// As in messages: `.spec`, `[name="web"]`, `[="text"]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", value.0)?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", value.0),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_read_and_written() {
        for key in [
            "f:spec",
            "f:kubernetes.io/a:b",
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}",
            "v:\"text\"",
            "v:true",
            "i:3",
            "k:{\"name\":\"a\\u003cb\"}",
        ] {
            let element = Element::parse(key).expect("an element").expect("of a known kind");
            assert_eq!(element.key(), key);
        }
        assert_eq!(Element::parse("x:new"), Ok(None));
        for wrong in ["spec", "k:{", "v:", "i:x", "what:ever"] {
            assert!(Element::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_show_keys_as_people_write_them() {
        let key = |text| Element::parse(text).expect("an element").expect("known").to_string();
        assert_eq!(key("f:spec"), ".spec");
        let port = "k:{\"protocol\":\"TCP\",\"containerPort\":80}";
        assert_eq!(key(port), "[containerPort=80,protocol=\"TCP\"]");
        assert_eq!(key("v:\"a\""), "[=\"a\"]");
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert_eq!(Scalar(json!(80)), Scalar(json!(80.0)));
        assert!(Scalar(json!(80)) < Scalar(json!(443)));
        assert!(Scalar(json!(443)) < Scalar(json!("1")));
        assert!(Element::Field("z".into()) < Element::Value(Scalar(json!(1))));
    }
}
