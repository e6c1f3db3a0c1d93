//! Lists and maps: sizes, Kubernetes' lists library, and sets.

use std::cmp::Ordering;

use super::{Maybe, count, shown};
use crate::cel::Failure;
use crate::cel::arithmetic::calculate;
use crate::cel::eval::Meter;
use crate::cel::expr::Operator;
use crate::cel::value::{List, Value};

/// A function of a list or map.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    let (list, rest) = match values.split_first() {
        Some((Value::List(list), rest)) => (list, rest),
        Some((Value::Map(map), [])) if name == "size" => return Ok(Some(count(map.len()))),
        Some((Value::Bytes(bytes), [])) if name == "size" => return Ok(Some(count(bytes.len()))),
        _ => return Ok(None),
    };
    if !matches!(name, "size" | "slice" | "first" | "last") {
        meter.spend(list.len() as u64)?;
    }
    Ok(Some(match (name, rest) {
        ("size", []) => count(list.len()),
        ("isSorted", []) => {
            let items: Vec<Value<'a>> = list.iter().collect();
            let order = |pair: &[Value<'a>]| pair[0].compare(&pair[1]).ok_or_else(Failure::no_overload);
            let mut sorted = true;
            for pair in items.windows(2) {
                sorted &= order(pair)? != Ordering::Greater;
            }
            Value::Bool(sorted)
        }
        ("sum", []) => return sum(list).map(Some),
        ("min" | "max", []) => return extreme(name, list).map(Some),
        ("indexOf" | "lastIndexOf", [wanted]) => return index_of(name, list, wanted, meter).map(Some),
        ("join", by) => return join(list, by),
        ("distinct", []) => return distinct(list, meter).map(Some),
        ("flatten", []) => {
            let nested = |item: Value<'a>| match item {
                Value::List(inner) => inner.iter().collect(),
                other => vec![other],
            };
            Value::list(list.iter().flat_map(nested).collect())
        }
        ("reverse", []) => {
            let mut items: Vec<Value<'a>> = list.iter().collect();
            items.reverse();
            Value::list(items)
        }
        ("sort", []) => {
            let mut items: Vec<Value<'a>> = list.iter().collect();
            items.sort_by(|a, b| a.compare(b).unwrap_or(Ordering::Equal));
            Value::list(items)
        }
        ("slice", [Value::Int(from), Value::Int(to)]) => return slice(list, *from, *to).map(Some),
        ("first", []) => list.get(0).map_or(Value::Optional(None), Value::some),
        ("last", []) => list
            .len()
            .checked_sub(1)
            .and_then(|last| list.get(last))
            .map_or(Value::Optional(None), Value::some),
        _ => return Ok(None),
    }))
}

/// Whether an item is in a list.
pub(in crate::cel) fn contains<'a>(
    list: &List<'a>,
    wanted: &Value<'a>,
    meter: &mut Meter<'_>,
) -> Result<bool, Failure> {
    for item in list.iter() {
        if item.equals(wanted, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `sets.contains`, `sets.equivalent`, `sets.intersects`: lists taken as sets.
pub(super) fn sets<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    let [Value::List(a), Value::List(b)] = values else {
        return Ok(None);
    };
    let mut within = |inner: &List<'a>, outer: &List<'a>| {
        for item in inner.iter() {
            if !contains(outer, &item, meter)? {
                return Ok(false);
            }
        }
        Ok::<bool, Failure>(true)
    };
    let is = match name {
        "contains" => within(b, a)?,
        "equivalent" => within(a, b)? && within(b, a)?,
        "intersects" => {
            for item in a.iter() {
                if contains(b, &item, meter)? {
                    return Ok(Some(Value::Bool(true)));
                }
            }
            false
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Bool(is)))
}

fn sum<'a>(list: &List<'a>) -> Result<Value<'a>, Failure> {
    let mut items = list.iter();
    let Some(mut total) = items.next() else {
        return Ok(Value::Int(0));
    };
    for item in items {
        total = calculate(Operator::Add, &total, &item)?;
    }
    Ok(total)
}

fn extreme<'a>(name: &str, list: &List<'a>) -> Result<Value<'a>, Failure> {
    let wanted = if name == "min" {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    let mut items = list.iter();
    let mut best = items
        .next()
        .ok_or_else(|| Failure::new(format!("{name} called on empty list")))?;
    for item in items {
        if item.compare(&best).ok_or_else(Failure::no_overload)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn index_of<'a>(name: &str, list: &List<'a>, wanted: &Value<'a>, meter: &mut Meter<'_>) -> Result<Value<'a>, Failure> {
    let mut found = None;
    for (index, item) in list.iter().enumerate() {
        if item.equals(wanted, meter)? {
            found = Some(index);
            if name == "indexOf" {
                break;
            }
        }
    }
    Ok(found.map_or(Value::Int(-1), count))
}

fn join<'a>(list: &List<'a>, by: &[Value<'a>]) -> Maybe<'a> {
    let by = match by {
        [] => String::new(),
        [Value::Text(by)] => (**by).to_owned(),
        _ => return Ok(None),
    };
    let mut parts = Vec::with_capacity(list.len());
    for item in list.iter() {
        match item {
            Value::Text(_) => parts.push(shown(&item)),
            _ => return Err(Failure::no_overload()),
        }
    }
    Ok(Some(Value::text(&parts.join(&by))))
}

fn distinct<'a>(list: &List<'a>, meter: &mut Meter<'_>) -> Result<Value<'a>, Failure> {
    let mut seen: Vec<Value<'a>> = Vec::new();
    'items: for item in list.iter() {
        for one in &seen {
            if one.equals(&item, meter)? {
                continue 'items;
            }
        }
        seen.push(item);
    }
    Ok(Value::list(seen))
}

fn slice<'a>(list: &List<'a>, from: i64, to: i64) -> Result<Value<'a>, Failure> {
    let place = |at: i64| usize::try_from(at).ok().filter(|place| *place <= list.len());
    match (place(from), place(to)) {
        (Some(from), Some(to)) if from <= to => Ok(Value::list((from..to).filter_map(|at| list.get(at)).collect())),
        _ => Err(Failure::new(format!(
            "cannot slice({from}, {to}), list is length {}",
            list.len()
        ))),
    }
}
