//! From one type to another: `int("3")`, `string(5)`, `duration("1h")`.

use std::sync::Arc;

use jiff::Timestamp;

use super::Maybe;
use crate::cel::value::{Text, Value};
use crate::cel::{Failure, duration};

/// A conversion.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [value] = values else { return Ok(None) };
    Ok(Some(match name {
        "dyn" => value.clone(),
        "type" => Value::Type(value.type_name()),
        "int" => return int(value).map(Some),
        "uint" => return uint(value).map(Some),
        "double" => match value {
            Value::Text(text) => Value::Double(text.parse().map_err(|_| bad("double", text))?),
            other => Value::Double(other.float().ok_or_else(Failure::no_overload)?),
        },
        "string" => string(value)?,
        "bytes" => match value {
            Value::Text(text) => Value::Bytes(text.as_bytes().into()),
            bytes @ Value::Bytes(_) => bytes.clone(),
            _ => return Err(Failure::no_overload()),
        },
        "bool" => match value {
            is @ Value::Bool(_) => is.clone(),
            Value::Text(text) => match &**text {
                "true" | "True" | "TRUE" | "t" | "1" => Value::Bool(true),
                "false" | "False" | "FALSE" | "f" | "0" => Value::Bool(false),
                _ => return Err(bad("bool", text)),
            },
            _ => return Err(Failure::no_overload()),
        },
        "duration" => match value {
            made @ Value::Duration(_) => made.clone(),
            Value::Text(text) => Value::Duration(duration::parse(text).ok_or_else(|| bad("duration", text))?),
            _ => return Err(Failure::no_overload()),
        },
        "timestamp" => match value {
            made @ Value::Timestamp(_) => made.clone(),
            Value::Int(seconds) => Value::Timestamp(Timestamp::from_second(*seconds).map_err(|_| Failure::overflow())?),
            Value::Text(text) => Value::Timestamp(text.parse().map_err(|_| bad("timestamp", text))?),
            _ => return Err(Failure::no_overload()),
        },
        _ => return Ok(None),
    }))
}

fn bad(wanted: &str, text: &str) -> Failure {
    let text: String = text.chars().take(100).collect();
    Failure::new(format!("type conversion error from 'string' to '{wanted}': {text:?}"))
}

fn int<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    Ok(Value::Int(match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).map_err(|_| Failure::overflow())?,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "within the range that the guard says; the fraction goes"
        )]
        Value::Double(number) if number.abs() < 9_223_372_036_854_775_807.0 => *number as i64,
        Value::Double(_) => return Err(Failure::overflow()),
        Value::Text(text) => text.parse().map_err(|_| bad("int", text))?,
        Value::Timestamp(time) => time.as_second(),
        _ => return Err(Failure::no_overload()),
    }))
}

fn uint<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    Ok(Value::Uint(match value {
        Value::Uint(number) => *number,
        Value::Int(number) => u64::try_from(*number).map_err(|_| Failure::new("unsigned integer overflow"))?,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the range that the guard says; the fraction goes"
        )]
        Value::Double(number) if (0.0..18_446_744_073_709_551_615.0).contains(number) => *number as u64,
        Value::Double(_) => return Err(Failure::new("unsigned integer overflow")),
        Value::Text(text) => text.parse().map_err(|_| bad("uint", text))?,
        _ => return Err(Failure::no_overload()),
    }))
}

fn string<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        text @ Value::Text(_) => Ok(text.clone()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err(Failure::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        Value::List(_)
        | Value::Map(_)
        | Value::Null
        | Value::Optional(_)
        | Value::Type(_)
        | Value::Format(_)
        | Value::Question(_) => Err(Failure::no_overload()),
        other => Ok(Value::Text(Text::Shared(Arc::from(shown(other))))),
    }
}

/// A value as text.
pub(in crate::cel) fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Text(text) => (**text).to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Duration(made) => {
            // CEL writes durations in seconds.
            let seconds = made.as_secs_f64();
            format!("{seconds}s")
        }
        Value::Timestamp(time) => time.to_string(),
        Value::Type(name) => (*name).to_owned(),
        Value::Quantity(quantity) => quantity.to_string(),
        Value::Url(url) => url.text.clone(),
        Value::Ip(ip) => ip.to_string(),
        Value::Cidr(ip, bits) => format!("{ip}/{bits}"),
        Value::Format(format) => format.name.to_owned(),
        Value::Question(_) => value.type_name().to_owned(),
        Value::Optional(None) => "optional.none()".to_owned(),
        Value::Optional(Some(inner)) => format!("optional({})", shown(inner)),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|item| shown(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", shown(&key), shown(&value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
