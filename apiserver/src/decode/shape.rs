//! Makes a body conform to the shape of its kind: types are checked, values take their canonical form, the rest is pruned.
//!
//! One walk, in place. What is decided here is what Go's decoder and encoder do to an object on its way through
//! kube-apiserver: `null` is absent, zero values with `omitempty` vanish, quantities and times are rewritten.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use minik_api::quantity::Quantity;
use minik_api::schema::{Definition, Field, Shape};
use serde_json::{Map, Value};

use super::near_miss::near_miss;
use super::place::Place;

/// A value doesn't have its field's type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said} (at {at})")]
pub(crate) struct TypeError {
    /// In upstream's words.
    said: String,
    /// Where, with indices.
    at: String,
}

/// Checks and prunes a body; tells which fields it has that its kind hasn't.
pub(super) fn conform(
    definition: &'static Definition,
    body: &mut Map<String, Value>,
) -> Result<Vec<String>, TypeError> {
    conform_at(definition, body, &Place::ROOT)
}

/// The same for a part of a body that stands at `place`.
pub(super) fn conform_at(
    definition: &'static Definition,
    body: &mut Map<String, Value>,
    place: &Place<'_>,
) -> Result<Vec<String>, TypeError> {
    let mut walk = Walk {
        unknown: Vec::new(),
        error: None,
    };
    walk.object(definition, body, place);
    walk.error.map_or(Ok(walk.unknown), Err)
}

/// What Go calls the type of a JSON value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Walk {
    unknown: Vec<String>,
    /// The first; the walk goes on but nothing more is told.
    error: Option<TypeError>,
}

/// Where a value stands, for messages: its place and the definition that its field belongs to.
#[derive(Clone, Copy)]
struct Site<'a> {
    place: &'a Place<'a>,
    owner: &'static Definition,
}

impl Walk {
    fn object(&mut self, definition: &'static Definition, map: &mut Map<String, Value>, place: &Place<'_>) {
        map.retain(|name, value| {
            let place = place.field(name);
            let Some(field) = definition.field(name) else {
                self.unknown.push(unknown(definition, name, &place));
                return false;
            };
            if value.is_null() {
                return false;
            }
            let site = Site {
                place: &place,
                owner: definition,
            };
            self.value(&field.shape, value, site);
            !vanishes(field, value)
        });
    }

    fn value(&mut self, shape: &Shape, value: &mut Value, site: Site<'_>) {
        match (shape, &mut *value) {
            (Shape::Any, _)
            | (Shape::String(_), Value::String(_))
            | (Shape::Bool, Value::Bool(_))
            | (Shape::Float64, Value::Number(_)) => {}
            (Shape::Object(reference), Value::Object(map)) => self.object(reference.get(), map, site.place),
            (Shape::List(items), Value::Array(list)) => self.list(items, list, site),
            (Shape::Map(items, _), Value::Object(map)) => self.map(items, map, site),
            (Shape::Int32, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            (Shape::Int64, Value::Number(number)) if number.is_i64() => {}
            (Shape::IntOrString, Value::String(_)) => {}
            (Shape::IntOrString, Value::Number(number))
                if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            _ => match canonical_form(shape, value) {
                Some(canonical) => self.canonical(value, canonical, site),
                None => self.wrong_type(shape, value, site),
            },
        }
    }

    fn list(&mut self, items: &Shape, list: &mut [Value], site: Site<'_>) {
        for (index, item) in list.iter_mut().enumerate() {
            let place = site.place.index(index);
            self.item(items, item, Site { place: &place, ..site });
        }
    }

    fn map(&mut self, items: &Shape, map: &mut Map<String, Value>, site: Site<'_>) {
        for (key, item) in map {
            let place = site.place.key(key);
            self.item(items, item, Site { place: &place, ..site });
        }
    }

    /// An item can't vanish: `null` is its type's zero value.
    fn item(&mut self, shape: &Shape, item: &mut Value, site: Site<'_>) {
        if item.is_null() {
            *item = zero(shape);
        }
        self.value(shape, item, site);
    }

    fn canonical(&mut self, value: &mut Value, canonical: Result<Option<Value>, String>, site: Site<'_>) {
        match canonical {
            Ok(None) => {}
            Ok(Some(canonical)) => *value = canonical,
            Err(said) => self.fail(said, site),
        }
    }

    fn wrong_type(&mut self, shape: &Shape, value: &Value, site: Site<'_>) {
        let found = match value {
            // Go tells the number when its type would have fitted.
            Value::Number(number) if matches!(shape, Shape::Int32 | Shape::Int64) => format!("number {number}"),
            other => type_name(other).to_owned(),
        };
        let said = format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {}",
            site.owner.name,
            site.place.names(),
            go_type(shape, site.owner)
        );
        self.fail(said, site);
    }

    fn fail(&mut self, said: String, site: Site<'_>) {
        self.error.get_or_insert_with(|| TypeError {
            said,
            at: site.place.to_string(),
        });
    }
}

fn unknown(definition: &'static Definition, name: &str, place: &Place<'_>) -> String {
    match near_miss(definition, name) {
        Some(meant) => format!("unknown field \"{place}\" (did you mean \"{meant}\"?)"),
        None => format!("unknown field \"{place}\""),
    }
}

/// Go's `omitempty`: a zero value of a field that isn't a pointer isn't written.
fn vanishes(field: &Field, value: &Value) -> bool {
    if !field.omit_empty || field.pointer {
        return false;
    }
    match (&field.shape, value) {
        (Shape::String(_) | Shape::Bytes, Value::String(text)) => text.is_empty(),
        (Shape::Int32 | Shape::Int64 | Shape::Float64, Value::Number(number)) => number.as_f64() == Some(0.0),
        (Shape::Bool, Value::Bool(is)) => !is,
        (Shape::List(_), Value::Array(list)) => list.is_empty(),
        (Shape::Map(..), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::String(_) | Shape::Bytes => "".into(),
        Shape::Int32 | Shape::Int64 | Shape::Float64 | Shape::IntOrString => 0.into(),
        Shape::Bool => false.into(),
        Shape::Quantity => "0".into(),
        Shape::Object(_) | Shape::Map(..) => Value::Object(Map::new()),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Any | Shape::Time | Shape::MicroTime => Value::Null,
    }
}

/// A quantity, a time or bytes as they are written; none when they are so already, or can't be read.
pub(crate) fn canonical(shape: &Shape, value: &Value) -> Option<Value> {
    canonical_form(shape, value)?.ok().flatten()
}

/// What a value that can be written in several ways is written as (`None`: it is canonical already); none for others.
fn canonical_form(shape: &Shape, value: &Value) -> Option<Result<Option<Value>, String>> {
    match (shape, value) {
        (Shape::Bytes, Value::String(text)) => Some(canonical_bytes(text)),
        (Shape::Quantity, Value::String(_) | Value::Number(_)) => Some(canonical_quantity(value)),
        (Shape::Time, Value::String(text)) => {
            Some(canonical_time(text, "%Y-%m-%dT%H:%M:%SZ", "2006-01-02T15:04:05Z07:00"))
        }
        (Shape::MicroTime, Value::String(text)) => Some(canonical_time(
            text,
            "%Y-%m-%dT%H:%M:%S.%6fZ",
            "2006-01-02T15:04:05.000000Z07:00",
        )),
        _ => None,
    }
}

fn canonical_quantity(value: &Value) -> Result<Option<Value>, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let canonical = text
        .parse::<Quantity>()
        .map_err(|error| format!("{error}, found {value}"))?
        .to_string();
    Ok((value.as_str() != Some(&canonical)).then_some(Value::String(canonical)))
}

fn canonical_bytes(text: &str) -> Result<Option<Value>, String> {
    if !text.contains(['\n', '\r']) {
        let checked = STANDARD.decode(text);
        return checked.map(|_| None).map_err(|error| illegal_base64(&error));
    }
    let joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(&joined).map_err(|error| illegal_base64(&error))?;
    Ok(Some(Value::String(joined)))
}

fn illegal_base64(error: &base64::DecodeError) -> String {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            format!("illegal base64 data at input byte {at}")
        }
        other => format!("illegal base64 data: {other}"),
    }
}

fn canonical_time(text: &str, format: &str, layout: &str) -> Result<Option<Value>, String> {
    let time: Timestamp = text
        .parse()
        .map_err(|_| format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as a time of RFC 3339"))?;
    let canonical = time.strftime(format).to_string();
    Ok((canonical != text).then_some(Value::String(canonical)))
}

/// What the type is called in Go.
fn go_type(shape: &Shape, owner: &Definition) -> String {
    let named = |alias: &str| {
        let package = if matches!(alias, "UID" | "NodeName") {
            "types"
        } else {
            owner.version
        };
        format!("{package}.{alias}")
    };
    match shape {
        Shape::String(Some(alias)) | Shape::Map(_, Some(alias)) => named(alias),
        Shape::String(None) => "string".to_owned(),
        Shape::Int32 => "int32".to_owned(),
        Shape::Int64 => "int64".to_owned(),
        Shape::Float64 => "float64".to_owned(),
        Shape::Bool => "bool".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Time => "v1.Time".to_owned(),
        Shape::MicroTime => "v1.MicroTime".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Any => "runtime.RawExtension".to_owned(),
        Shape::Object(reference) => format!("{}.{}", reference.get().version, reference.get().name),
        Shape::List(items) => format!("[]{}", go_type(items, owner)),
        Shape::Map(items, None) => format!("map[string]{}", go_type(items, owner)),
    }
}
