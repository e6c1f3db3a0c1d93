//! Texts: CEL's own functions, its strings extension, and Kubernetes' regex library.

use super::{Maybe, count, shown};
use crate::cel::Failure;
use crate::cel::eval::Meter;
use crate::cel::value::Value;

/// A function of a text.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    let Some((Value::Text(text), rest)) = values.split_first() else {
        return Ok(None);
    };
    let text: &str = text;
    Ok(Some(match (name, rest) {
        ("size", []) => count(text.chars().count()),
        ("contains", [Value::Text(part)]) => {
            meter.spend((text.len() as u64 / 10 + 1).saturating_mul(part.len() as u64 / 10 + 1))?;
            Value::Bool(text.contains(&**part))
        }
        ("startsWith", [Value::Text(part)]) => Value::Bool(text.starts_with(&**part)),
        ("endsWith", [Value::Text(part)]) => Value::Bool(text.ends_with(&**part)),
        ("lowerAscii", []) => Value::text(&text.to_ascii_lowercase()),
        ("upperAscii", []) => Value::text(&text.to_ascii_uppercase()),
        ("trim", []) => Value::text(text.trim()),
        ("reverse", []) => Value::text(&text.chars().rev().collect::<String>()),
        ("charAt", [Value::Int(at)]) => return char_at(text, *at).map(Some),
        ("indexOf" | "lastIndexOf", [Value::Text(part), from @ ..]) => return index_of(name, text, part, from, meter),
        ("substring", [Value::Int(from), to @ ..]) => return substring(text, *from, to),
        ("replace", [Value::Text(old), Value::Text(new), most @ ..]) => return replace(text, old, new, most, meter),
        ("split", [Value::Text(by), most @ ..]) => return split(text, by, most),
        ("format", [Value::List(_)]) => return formatted(text, &rest[0], meter).map(Some),
        ("matches" | "find" | "findAll", _) => return regex(name, text, rest, meter),
        _ => return Ok(None),
    }))
}

/// `strings.quote`: as it would be written in an expression.
pub(super) fn quote<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    match (name, values) {
        ("quote", [Value::Text(text)]) => Ok(Some(Value::text(&format!("{:?}", &**text)))),
        _ => Ok(None),
    }
}

fn out_of_range(at: i64) -> Failure {
    Failure::new(format!("index out of range: {at}"))
}

fn char_at<'a>(text: &str, at: i64) -> Result<Value<'a>, Failure> {
    let place = usize::try_from(at).map_err(|_| out_of_range(at))?;
    match text.chars().nth(place) {
        Some(c) => Ok(Value::text(c.encode_utf8(&mut [0; 4]))),
        None if place == text.chars().count() => Ok(Value::text("")),
        None => Err(out_of_range(at)),
    }
}

fn index_of<'a>(name: &str, text: &str, part: &str, from: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    meter.spend((text.len() as u64 / 10 + 1).saturating_mul(part.len() as u64 / 10 + 1))?;
    let chars = text.chars().count();
    let start = match from {
        [] => None,
        [Value::Int(at)] => match usize::try_from(*at) {
            Ok(place) if place <= chars => Some(place),
            _ => return Err(out_of_range(*at)),
        },
        _ => return Ok(None),
    };
    let byte_of = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte);
    let found = if name == "indexOf" {
        let start = start.map_or(0, byte_of);
        text[start..].find(part).map(|byte| start + byte)
    } else {
        match start {
            None => text.rfind(part),
            Some(place) => {
                let last = byte_of(place);
                let end = (last + part.len()).min(text.len());
                let end = (end..=text.len())
                    .find(|&byte| text.is_char_boundary(byte))
                    .unwrap_or(text.len());
                text[..end].rfind(part)
            }
        }
    };
    Ok(Some(
        found.map_or(Value::Int(-1), |byte| count(text[..byte].chars().count())),
    ))
}

fn substring<'a>(text: &str, from: i64, to: &[Value<'a>]) -> Maybe<'a> {
    let length = text.chars().count();
    let place = |at: i64| {
        usize::try_from(at)
            .ok()
            .filter(|place| *place <= length)
            .ok_or_else(|| out_of_range(at))
    };
    let (start, end) = match to {
        [] => (place(from)?, length),
        [Value::Int(to)] => (place(from)?, place(*to)?),
        _ => return Ok(None),
    };
    if start > end {
        return Err(Failure::new(format!(
            "invalid substring range. start: {start}, end: {end}"
        )));
    }
    Ok(Some(Value::text(
        &text.chars().skip(start).take(end - start).collect::<String>(),
    )))
}

fn replace<'a>(text: &str, old: &str, new: &str, most: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    // Between any two characters when there is nothing to be replaced: what that makes is paid for before.
    let times = (text.len() / old.len().max(1) + 1) as u64;
    meter.spend(times.saturating_mul(new.len() as u64) / 10 + text.len() as u64 / 10)?;
    let replaced = match most {
        [] => text.replace(old, new),
        [Value::Int(most)] => match usize::try_from(*most) {
            Ok(most) => text.replacen(old, new, most),
            Err(_) => text.replace(old, new),
        },
        _ => return Ok(None),
    };
    Ok(Some(Value::text(&replaced)))
}

fn split<'a>(text: &str, by: &str, most: &[Value<'a>]) -> Maybe<'a> {
    let all = |text: &str| -> Vec<Value<'a>> {
        match by {
            "" => text.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))).collect(),
            by => text.split(by).map(Value::text).collect(),
        }
    };
    let parts = match most {
        [] => all(text),
        [Value::Int(..0)] => all(text),
        [Value::Int(0)] => Vec::new(),
        [Value::Int(most)] => text
            .splitn(usize::try_from(*most).unwrap_or(usize::MAX), by)
            .map(Value::text)
            .collect(),
        _ => return Ok(None),
    };
    Ok(Some(Value::list(parts)))
}

/// `matches`, `find`, `findAll`
fn regex<'a>(name: &str, text: &str, rest: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    let Some((Value::Text(source), most)) = rest.split_first() else {
        return Ok(None);
    };
    meter.spend((text.len() as u64 / 10 + 1).saturating_mul(source.len() as u64 / 4 + 1))?;
    let compiled = meter.pattern(source)?;
    Ok(Some(match (name, most) {
        ("matches", []) => Value::Bool(compiled.is_match(text)),
        ("find", []) => Value::text(compiled.find(text).map_or("", |found| found.as_str())),
        ("findAll", []) => Value::list(
            compiled
                .find_iter(text)
                .map(|found| Value::text(found.as_str()))
                .collect(),
        ),
        ("findAll", [Value::Int(most)]) => {
            let most = usize::try_from(*most).unwrap_or(usize::MAX);
            Value::list(
                compiled
                    .find_iter(text)
                    .take(most)
                    .map(|found| Value::text(found.as_str()))
                    .collect(),
            )
        }
        _ => return Ok(None),
    }))
}

/// `"%s has %d".format([a, b])`
fn formatted<'a>(text: &str, values: &Value<'a>, meter: &mut Meter<'_>) -> Result<Value<'a>, Failure> {
    let Value::List(values) = values else {
        return Err(Failure::no_overload());
    };
    let mut values = values.iter();
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut precision: Option<usize> = None;
        let mut verb = chars.next();
        if verb == Some('.') {
            let digits: String = chars.clone().take_while(char::is_ascii_digit).take(3).collect();
            precision = digits.parse().ok().filter(|digits| *digits <= 100);
            chars.nth(digits.len().saturating_sub(1));
            verb = chars.next();
        }
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        let value = values
            .next()
            .ok_or_else(|| Failure::new("no more arguments for a formatting verb"))?;
        let shown = verbed(verb, precision, &value)?;
        meter.spend(shown.len() as u64 / 10)?;
        out.push_str(&shown);
    }
    Ok(Value::text(&out))
}

fn verbed(verb: Option<char>, precision: Option<usize>, value: &Value<'_>) -> Result<String, Failure> {
    let precision = precision.unwrap_or(6);
    Ok(match (verb, value) {
        (Some('s'), value) => shown(value),
        (Some('d'), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => shown(value),
        (Some('f'), value) => format!("{:.precision$}", value.float().ok_or_else(Failure::no_overload)?),
        (Some('e'), value) => format!("{:.precision$e}", value.float().ok_or_else(Failure::no_overload)?),
        (Some('b'), Value::Bool(is)) => u8::from(*is).to_string(),
        (Some('b'), Value::Int(number)) => format!("{number:b}"),
        (Some('b'), Value::Uint(number)) => format!("{number:b}"),
        (Some('o'), Value::Int(number)) => format!("{number:o}"),
        (Some('o'), Value::Uint(number)) => format!("{number:o}"),
        (Some('x'), Value::Int(number)) => format!("{number:x}"),
        (Some('x'), Value::Uint(number)) => format!("{number:x}"),
        (Some('X'), Value::Int(number)) => format!("{number:X}"),
        (Some('x'), Value::Text(text)) => hex::encode(text.as_bytes()),
        _ => return Err(Failure::new("unrecognized formatting clause")),
    })
}
