//! Bodies in Kubernetes' protobuf, as kubectl's typed clients send them, to the same values that JSON gives.
//!
//! A body is the magic `k8s\0`, then a message that names the kind and holds the object (`runtime.Unknown`). The numbers of
//! the fields stand in the table of shapes. Only reading: answers are JSON, which every client accepts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use minik_api::schema::{self, Definition, Shape};
use serde_json::{Map, Value};

use super::DecodeError;
use super::parse::Parsed;

const MAGIC: &[u8] = b"k8s\0";
const DEPTH_MAX: usize = 64;

/// Reads one object.
pub(crate) fn protobuf(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let value = envelope(bytes).map_err(|error| DecodeError::Parse {
        format: "protobuf",
        source_text: error.to_string(),
    })?;
    Ok(Parsed {
        value,
        duplicates: Vec::new(),
    })
}

/// The bytes are no message of their kind.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("the body doesn't begin with the magic bytes of Kubernetes' protobuf")]
    Magic,
    #[error("the body ends in the middle of a field")]
    Truncated,
    #[error("field {0} has a wire type that isn't known")]
    WireType(u64),
    #[error("field {0} doesn't have the wire type of a {1}")]
    Mismatch(u32, &'static str),
    #[error("messages are nested too deeply")]
    Depth,
    #[error("nothing is known of kind {kind:?} in version {version:?}")]
    Kind { version: String, kind: String },
    #[error("field {0} holds no text in UTF-8")]
    Text(u32),
    #[error("field {0} holds no JSON")]
    Json(u32),
    #[error("field {0} holds a time out of range")]
    Time(u32),
}

/// What a field holds on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32,
    Bytes(&'a [u8]),
}

fn envelope(bytes: &[u8]) -> Result<Value, WireError> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(WireError::Magic)?;
    let (mut version, mut kind, mut raw): (String, String, &[u8]) = (String::new(), String::new(), &[]);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(names)) => {
                for name in Fields(names) {
                    let (number, wire) = name?;
                    let text = text(number, wire)?;
                    match number {
                        1 => version = text,
                        2 => kind = text,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let (group, plain_version) = version.split_once('/').unwrap_or(("", &version));
    // Options belong to no group, whichever group's resource they are sent to.
    let known = schema::named(group, plain_version, &kind).or_else(|| schema::named("meta", "v1", &kind));
    let Some(definition) = known else {
        return Err(WireError::Kind { version, kind });
    };
    let mut object = message(definition, raw, &[], 0)?;
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

/// A message of this definition; `prefix` leads to a part of it that is no object in JSON.
fn message(
    definition: &'static Definition,
    bytes: &[u8],
    prefix: &[u32],
    depth: usize,
) -> Result<Map<String, Value>, WireError> {
    if depth > DEPTH_MAX {
        return Err(WireError::Depth);
    }
    let mut map = Map::new();
    for field in Fields(bytes) {
        let (number, wire) = field?;
        let mut path = prefix.to_vec();
        path.push(number);
        if let Some(field) = definition.fields().iter().find(|field| field.numbers == path) {
            put(&mut map, field.name, &field.shape, number, wire, depth + 1)?;
        } else if definition.fields().iter().any(|field| field.numbers.starts_with(&path)) {
            let Wire::Bytes(inner) = wire else {
                return Err(WireError::Mismatch(number, "message"));
            };
            map.extend(message(definition, inner, &path, depth + 1)?);
        }
    }
    Ok(map)
}

/// Lists and maps come item by item.
fn put(
    map: &mut Map<String, Value>,
    name: &str,
    shape: &Shape,
    number: u32,
    wire: Wire<'_>,
    depth: usize,
) -> Result<(), WireError> {
    match shape {
        Shape::List(items) => {
            let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.extend(value(items, number, wire, depth)?);
            }
        }
        Shape::Map(items, _) => {
            let (key, item) = entry(items, number, wire, depth)?;
            let entries = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(entries) = entries {
                entries.insert(key, item);
            }
        }
        _ => {
            if let Some(value) = value(shape, number, wire, depth)? {
                map.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn entry(items: &Shape, number: u32, wire: Wire<'_>, depth: usize) -> Result<(String, Value), WireError> {
    let Wire::Bytes(bytes) = wire else {
        return Err(WireError::Mismatch(number, "map"));
    };
    let (mut key, mut item) = (String::new(), Value::Null);
    for field in Fields(bytes) {
        match field? {
            (1, wire) => key = text(1, wire)?,
            (2, Wire::Bytes(inner)) if matches!(items, Shape::List(_)) => {
                // Lists as values are messages with the items as their first field.
                let mut wrapper = Map::new();
                for field in Fields(inner) {
                    let (number, wire) = field?;
                    put(&mut wrapper, "items", items, number, wire, depth + 1)?;
                }
                item = wrapper.remove("items").unwrap_or_default();
            }
            (2, wire) => item = value(items, 2, wire, depth)?.unwrap_or_default(),
            _ => {}
        }
    }
    Ok((key, item))
}

/// One value; `None` for a time that isn't set.
fn value(shape: &Shape, number: u32, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, WireError> {
    Ok(Some(match (shape, wire) {
        (Shape::String(_), _) => text(number, wire)?.into(),
        (Shape::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        // Negative numbers are sent as the 64 bits of their two's complement.
        (Shape::Int32 | Shape::Int64, Wire::Varint(bits)) => bits.cast_signed().into(),
        (Shape::Bool, Wire::Varint(bits)) => (bits != 0).into(),
        (Shape::Float64, Wire::Fixed64(bytes)) => f64::from_le_bytes(bytes).into(),
        (Shape::Object(reference), Wire::Bytes(bytes)) => message(reference.get(), bytes, &[], depth)?.into(),
        (Shape::Time | Shape::MicroTime, Wire::Bytes(bytes)) => return time(number, bytes),
        (Shape::Quantity, Wire::Bytes(bytes)) => quantity(bytes)?,
        (Shape::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Shape::Any, Wire::Bytes(bytes)) => raw(number, bytes)?,
        _ => return Err(WireError::Mismatch(number, "value of its field")),
    }))
}

fn text(number: u32, wire: Wire<'_>) -> Result<String, WireError> {
    match wire {
        Wire::Bytes(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Text(number)),
        _ => Err(WireError::Mismatch(number, "text")),
    }
}

fn time(number: u32, bytes: &[u8]) -> Result<Option<Value>, WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(bits)) => seconds = bits.cast_signed(),
            (2, Wire::Varint(bits)) => nanos = i32::try_from(bits).map_err(|_| WireError::Time(number))?,
            _ => {}
        }
    }
    if (seconds, nanos) == (0, 0) {
        return Ok(None);
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| WireError::Time(number))?;
    Ok(Some(time.to_string().into()))
}

fn quantity(bytes: &[u8]) -> Result<Value, WireError> {
    for field in Fields(bytes) {
        if let (1, wire) = field? {
            let amount = text(1, wire)?;
            return Ok(if amount.is_empty() { "0".into() } else { amount.into() });
        }
    }
    Ok("0".into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, WireError> {
    let (mut is_text, mut number, mut name) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(bits)) => number = bits.cast_signed(),
            (3, wire) => name = text(3, wire)?,
            _ => {}
        }
    }
    Ok(if is_text { name.into() } else { number.into() })
}

/// JSON inside of protobuf.
fn raw(number: u32, bytes: &[u8]) -> Result<Value, WireError> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|_| WireError::Json(number));
        }
    }
    Ok(Value::Null)
}

/// The fields of a message, in the order of the wire. It ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Wire<'a>), WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::WireType(tag >> 3))?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take(8)?.try_into().map_err(|_| WireError::Truncated)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err(WireError::WireType(number.into())),
        };
        Ok((number, wire))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A field that holds bytes; all of these are short.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("short");
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn body(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let names = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &names), field(2, object)].concat()
    }

    #[test]
    fn messages_become_what_json_would_have_said() {
        let time = [8, 0x80, 0xf2, 0xd6, 0xca, 6];
        let metadata = [field(1, b"m"), field(8, &time)].concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let object = [field(1, &metadata), field(2, &data)].concat();
        let parsed = protobuf(&body("v1", "ConfigMap", &object)).expect("a ConfigMap");
        assert_eq!(
            parsed.value,
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"},
                "metadata": {"name": "m", "creationTimestamp": "2026-01-01T00:00:00Z"}
            })
        );
    }

    #[test]
    fn parts_that_json_does_not_have_are_flattened() {
        // A volume's source, a port's number or name, a quantity, a negative number.
        let empty_dir = field(2, &field(2, &field(2, &field(1, b"1Gi"))));
        let volume = [field(1, b"v"), empty_dir].concat();
        let grace = [&[4 << 3][..], &[0xff; 9], &[1]].concat();
        let spec = [field(1, &volume), grace].concat();
        let parsed = protobuf(&body("v1", "Pod", &field(2, &spec))).expect("a Pod");
        assert_eq!(
            parsed.value["spec"],
            json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}], "terminationGracePeriodSeconds": -1})
        );
        let target = field(4, &[&[1 << 3, 1][..], &field(3, b"http")].concat());
        let port = field(1, &target);
        let parsed = protobuf(&body("v1", "Service", &field(2, &port))).expect("a Service");
        assert_eq!(parsed.value["spec"]["ports"], json!([{"targetPort": "http"}]));
        let parsed = protobuf(&body("apps/v1", "DeleteOptions", &[1 << 3, 0])).expect("options");
        assert_eq!(parsed.value["gracePeriodSeconds"], 0);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, told) in [
            (
                b"{}".to_vec(),
                "couldn't get version/kind; protobuf parse error: the body doesn't begin with the magic bytes of Kubernetes' protobuf",
            ),
            (
                body("v9", "Pod", &[]),
                "couldn't get version/kind; protobuf parse error: nothing is known of kind \"Pod\" in version \"v9\"",
            ),
            (
                body("v1", "Pod", &[0x0a, 9]),
                "couldn't get version/kind; protobuf parse error: the body ends in the middle of a field",
            ),
        ] {
            assert_eq!(protobuf(&bytes).expect_err("no object").to_string(), told);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), pod in any::<bool>()) {
            let kind = if pod { "Pod" } else { "Service" };
            let _ = (protobuf(&bytes), protobuf(&body("v1", kind, &bytes)));
        }
    }
}
