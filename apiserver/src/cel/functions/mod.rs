//! The functions of CEL and of Kubernetes' libraries: one table of names, a file per subject.

pub(super) mod authorizer;
mod convert;
pub(super) mod format;
mod lists;
mod network;
mod optional;
mod quantity;
mod strings;
mod time;
pub(super) mod url;

pub(super) use convert::shown;
pub(super) use lists::contains;

use super::Failure;
use super::eval::Meter;
use super::value::Value;

pub(super) type Outcome<'a> = Result<Value<'a>, Failure>;

/// A call that isn't this file's business.
pub(super) type Maybe<'a> = Result<Option<Value<'a>>, Failure>;

/// Names that stand before a dot without being values: `sets.contains(a, b)`.
pub(super) fn is_namespace(name: &str) -> bool {
    ["sets", "optional", "ip", "format", "strings", "cel"].contains(&name)
}

/// Whether there is a function of this name, of whatever arguments.
pub(super) fn is_known(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "bool",
        "duration",
        "timestamp",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "charAt",
        "indexOf",
        "lastIndexOf",
        "join",
        "lowerAscii",
        "upperAscii",
        "replace",
        "split",
        "substring",
        "trim",
        "reverse",
        "format",
        "quote",
        "isSorted",
        "sum",
        "min",
        "max",
        "find",
        "findAll",
        "url",
        "isURL",
        "getScheme",
        "getHost",
        "getHostname",
        "getPort",
        "getEscapedPath",
        "getQuery",
        "ip",
        "isIP",
        "isCanonical",
        "family",
        "isUnspecified",
        "isLoopback",
        "isLinkLocalMulticast",
        "isLinkLocalUnicast",
        "isGlobalUnicast",
        "cidr",
        "isCIDR",
        "containsIP",
        "containsCIDR",
        "masked",
        "prefixLength",
        "quantity",
        "isQuantity",
        "isInteger",
        "asInteger",
        "asApproximateFloat",
        "sign",
        "add",
        "sub",
        "isLessThan",
        "isGreaterThan",
        "compareTo",
        "equivalent",
        "intersects",
        "named",
        "validate",
        "of",
        "none",
        "ofNonZeroValue",
        "orValue",
        "or",
        "hasValue",
        "value",
        "distinct",
        "flatten",
        "slice",
        "sort",
        "first",
        "last",
        "lists.range",
    ];
    NAMES.contains(&name) || authorizer::NAMES.contains(&name) || format::named(name).is_some()
}

/// The name of a type, which is a value.
pub(super) fn type_named(name: &str) -> Option<&'static str> {
    [
        "null_type",
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// Calls a function: `name(values)`, or `values[0].name(values[1..])`, or `space.name(values)`.
pub(super) fn call<'a>(
    space: Option<&str>,
    name: &str,
    is_member: bool,
    values: &[Value<'a>],
    meter: &mut Meter<'_>,
) -> Outcome<'a> {
    let found = match space {
        Some("sets") => lists::sets(name, values, meter)?,
        Some("optional") => optional::make(name, values)?,
        Some("ip") => network::canonical(name, values)?,
        Some("format") => format::call(name, values)?,
        Some("strings") => strings::quote(name, values)?,
        Some(_) => None,
        None if is_member => member(name, values, meter)?,
        None => plain(name, values, meter)?,
    };
    found.ok_or_else(Failure::no_overload)
}

fn plain<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    if let Some(made) = convert::call(name, values)? {
        return Ok(Some(made));
    }
    if let Some(made) = network::make(name, values)? {
        return Ok(Some(made));
    }
    if let Some(made) = quantity::make(name, values)? {
        return Ok(Some(made));
    }
    if let Some(made) = url::make(name, values)? {
        return Ok(Some(made));
    }
    match name {
        "size" | "matches" => strings_or_lists(name, values, meter),
        _ => Ok(None),
    }
}

fn strings_or_lists<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    match values.first() {
        Some(Value::Text(_)) => strings::call(name, values, meter),
        _ => lists::call(name, values, meter),
    }
}

fn member<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    match values.first() {
        Some(Value::Text(_)) => strings::call(name, values, meter),
        Some(Value::List(_) | Value::Map(_) | Value::Bytes(_)) => lists::call(name, values, meter),
        Some(Value::Timestamp(_) | Value::Duration(_)) => time::call(name, values),
        Some(Value::Quantity(_)) => quantity::call(name, values),
        Some(Value::Ip(_) | Value::Cidr(..)) => network::call(name, values),
        Some(Value::Url(_)) => url::call(name, values),
        Some(Value::Optional(_)) => optional::call(name, values),
        Some(Value::Format(_)) => format::validate(name, values),
        Some(Value::Question(_)) => authorizer::call(name, values, meter),
        _ => Ok(None),
    }
}

/// A number of things, as a value.
fn count<'a>(length: usize) -> Value<'a> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}
