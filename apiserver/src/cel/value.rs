//! The values of an evaluation. What comes from an object stays where it is and is looked at when it is asked for: a rule on a
//! large object costs what it reads, not what the object weighs.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use minik_api::quantity::Quantity;
use serde_json::Value as Json;

use super::eval::Meter;
use super::functions::authorizer::Question;
use super::functions::format::Format;
use super::functions::url::Url;
use super::{Failure, duration};

/// What a schema says about a value: JSON alone can't tell a time from a text, or 1 from 1.0.
pub(crate) trait Typed: std::fmt::Debug + Sync {
    /// The type of a field or of the values of a map.
    fn field(&self, name: &str) -> Option<&dyn Typed>;
    /// The type of a list's items.
    fn items(&self) -> Option<&dyn Typed>;
    /// What a text or number stands for.
    fn scalar(&self) -> Scalar;
    /// What can be said about the value before there is one.
    fn kind(&self) -> Kind;
}

/// What a text or number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// What JSON says.
    Plain,
    /// A number that may have a fraction, even when it has none.
    Double,
    Timestamp,
    /// A day, which is a time too.
    Date,
    Duration,
    Bytes,
}

/// The kind of a value, as far as a schema knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An object with these fields and no others.
    Fields,
    Map,
    List,
    Text,
    Int,
    Double,
    Bool,
    Timestamp,
    Duration,
    Bytes,
    /// Anything.
    Any,
}

type Type<'a> = Option<&'a dyn Typed>;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Arc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    Type(&'static str),
    Optional(Option<Arc<Value<'a>>>),
    Quantity(Quantity),
    Url(Arc<Url>),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    Format(&'static Format),
    /// Of the authorizer.
    Question(Arc<Question<'a>>),
}

/// A text, the object's own or made here.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// A list.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Json(&'a [Json], Type<'a>),
    Built(Arc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(list, _) => list.len(),
            Self::Built(list) => list.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(list, of) => Some(Value::of(list.get(index)?, *of)),
            Self::Built(list) => list.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// A map or an object.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>, Type<'a>),
    Built(Arc<Vec<(Value<'a>, Value<'a>)>>),
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(map, _) => map.len(),
            Self::Built(map) => map.len(),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Json(map, of), Value::Text(name)) => {
                let value = map.get(&**name)?;
                Some(Value::of(value, of.and_then(|of| of.field(name))))
            }
            (Self::Json(..), _) => None,
            (Self::Built(map), _) => map
                .iter()
                .find(|(one, _)| one.is_same(key))
                .map(|(_, value)| value.clone()),
        }
    }

    /// A field: names that are no words are written with escapes in expressions.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        let get = |name: &str| self.get(&Value::text(name));
        get(name).or_else(|| name.contains("__").then(|| get(&unescaped(name))).flatten())
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Json(map, of) => Box::new(map.iter().map(|(name, value)| {
                let of = of.and_then(|of| of.field(name));
                (Value::Text(Text::Borrowed(name)), Value::of(value, of))
            })),
            Self::Built(map) => Box::new(map.iter().cloned()),
        }
    }
}

/// A field's name as Kubernetes escapes it (`__dash__`, `__namespace__`).
pub(super) fn unescaped(name: &str) -> String {
    let word = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
    if let Some(word) = word.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    name.replace("__underscores__", "\0")
        .replace("__dot__", ".")
        .replace("__dash__", "-")
        .replace("__slash__", "/")
        .replace('\0', "__")
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl<'a> Value<'a> {
    /// A value of an object.
    pub(crate) fn of(json: &'a Json, of: Type<'a>) -> Self {
        let scalar = of.map_or(Scalar::Plain, Typed::scalar);
        match json {
            Json::Null => Self::Null,
            Json::Bool(is) => Self::Bool(*is),
            Json::Number(number) => match (number.as_i64(), scalar) {
                (Some(number), Scalar::Plain) => Self::Int(number),
                _ => Self::Double(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => typed_text(text, scalar).unwrap_or(Self::Text(Text::Borrowed(text))),
            Json::Array(list) => Self::List(List::Json(list, of.and_then(Typed::items))),
            Json::Object(map) => Self::Map(Map::Json(map, of)),
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    pub(crate) fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Built(Arc::new(items)))
    }

    pub(crate) fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// What CEL calls its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Question(_) => "kubernetes.authorization.Authorizer",
        }
    }

    /// What comparing or copying it costs besides itself.
    pub(super) fn weight(&self) -> u64 {
        let size = match self {
            Self::Text(text) => text.len() / 10,
            Self::Bytes(bytes) => bytes.len() / 10,
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            _ => 0,
        };
        1 + size as u64
    }

    /// Whether two values are the same. Numbers are by what they count, of whatever type they are.
    pub(super) fn equals(&self, other: &Self, meter: &mut Meter<'_>) -> Result<bool, Failure> {
        meter.spend(1)?;
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, meter)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.iter() {
                    match b.get(&key) {
                        Some(other) if value.equals(&other, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Self::Optional(Some(a)), Self::Optional(Some(b))) => a.equals(b, meter),
            _ => {
                meter.spend(self.weight().min(other.weight()))?;
                Ok(self.is_same(other))
            }
        }
    }

    /// The same for values that hold no others.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a, bits), Self::Cidr(b, others)) => (a, bits) == (b, others),
            (Self::Format(a), Self::Format(b)) => a.name == b.name,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// Which comes first; `None` when that can't be said.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Double(_), Self::Int(_) | Self::Uint(_) | Self::Double(_))
            | (Self::Int(_) | Self::Uint(_), Self::Double(_)) => self.float()?.partial_cmp(&other.float()?),
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Quantity(a), Self::Quantity(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "as every language compares a number with a fraction"
    )]
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Uint(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }
}

fn typed_text(text: &str, scalar: Scalar) -> Option<Value<'static>> {
    match scalar {
        Scalar::Timestamp => text.parse().ok().map(Value::Timestamp),
        Scalar::Date => {
            let day: jiff::civil::Date = text.parse().ok()?;
            Some(Value::Timestamp(
                day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
            ))
        }
        Scalar::Duration => duration::parse(text).map(Value::Duration),
        Scalar::Bytes => BASE64_STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Value::Bytes(bytes.into())),
        Scalar::Plain | Scalar::Double => None,
    }
}
