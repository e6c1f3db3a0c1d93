//! Kubernetes' quantities: `quantity("1Gi").isGreaterThan(quantity("500Mi"))`.

use std::cmp::Ordering;

use minik_api::quantity::Quantity;

use super::Maybe;
use crate::cel::Failure;
use crate::cel::value::Value;

/// `quantity` and `isQuantity`.
pub(super) fn make<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [Value::Text(text)] = values else { return Ok(None) };
    match name {
        "isQuantity" => Ok(Some(Value::Bool(text.parse::<Quantity>().is_ok()))),
        "quantity" => match text.parse() {
            Ok(quantity) => Ok(Some(Value::Quantity(quantity))),
            Err(error) => Err(Failure::new(format!("{error}"))),
        },
        _ => Ok(None),
    }
}

/// A function of a quantity.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let Some((Value::Quantity(quantity), rest)) = values.split_first() else {
        return Ok(None);
    };
    let is_whole = || Quantity::from_whole(quantity.value()) == *quantity;
    Ok(Some(match (name, rest) {
        ("isInteger", []) => Value::Bool(is_whole()),
        ("asInteger", []) if is_whole() => Value::Int(quantity.value()),
        ("asInteger", []) => return Err(Failure::new("cannot convert value to integer")),
        #[expect(clippy::cast_precision_loss, reason = "approximate is what is asked for")]
        ("asApproximateFloat", []) => Value::Double(match is_whole() {
            true => quantity.value() as f64,
            false => quantity.milli_value() as f64 / 1000.0,
        }),
        ("sign", []) => Value::Int(match (quantity.is_zero(), quantity.is_negative()) {
            (true, _) => 0,
            (_, true) => -1,
            _ => 1,
        }),
        ("isLessThan", [Value::Quantity(other)]) => Value::Bool(quantity < other),
        ("isGreaterThan", [Value::Quantity(other)]) => Value::Bool(quantity > other),
        ("compareTo", [Value::Quantity(other)]) => Value::Int(match quantity.cmp(other) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        ("add" | "sub", [other]) => {
            let other = match other {
                Value::Quantity(other) => *other,
                Value::Int(number) => Quantity::from_whole(*number),
                _ => return Ok(None),
            };
            Value::Quantity(match name {
                "add" => quantity.saturating_add(other),
                _ => quantity.saturating_sub(other),
            })
        }
        _ => return Ok(None),
    }))
}
