//! What is calculated: whole numbers that don't fit are an error, never something else.

use jiff::SignedDuration;

use super::Failure;
use super::expr::Operator;
use super::value::Value;

/// `+ - * / %` of numbers, times and durations.
pub(super) fn calculate<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => whole(operator, *a, *b),
        (Value::Uint(a), Value::Uint(b)) => natural(operator, *a, *b),
        (Value::Double(a), Value::Double(b)) => fractional(operator, *a, *b),
        (Value::Duration(a), Value::Duration(b)) => between(operator, *a, *b),
        (Value::Timestamp(time), Value::Duration(by)) => match operator {
            Operator::Add => time
                .checked_add(*by)
                .map(Value::Timestamp)
                .map_err(|_| Failure::overflow()),
            Operator::Subtract => time
                .checked_sub(*by)
                .map(Value::Timestamp)
                .map_err(|_| Failure::overflow()),
            _ => Err(Failure::no_overload()),
        },
        (Value::Duration(by), Value::Timestamp(time)) if operator == Operator::Add => time
            .checked_add(*by)
            .map(Value::Timestamp)
            .map_err(|_| Failure::overflow()),
        (Value::Timestamp(a), Value::Timestamp(b)) if operator == Operator::Subtract => {
            Ok(Value::Duration(a.duration_since(*b)))
        }
        _ => Err(Failure::no_overload()),
    }
}

fn whole<'a>(operator: Operator, a: i64, b: i64) -> Result<Value<'a>, Failure> {
    let number = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if b == 0 => return Err(Failure::new("division by zero")),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder if b == 0 => return Err(Failure::new("modulus by zero")),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Failure::no_overload()),
    };
    number.map(Value::Int).ok_or_else(Failure::overflow)
}

fn natural<'a>(operator: Operator, a: u64, b: u64) -> Result<Value<'a>, Failure> {
    let number = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if b == 0 => return Err(Failure::new("division by zero")),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder if b == 0 => return Err(Failure::new("modulus by zero")),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Failure::no_overload()),
    };
    number
        .map(Value::Uint)
        .ok_or_else(|| Failure::new("unsigned integer overflow"))
}

fn fractional<'a>(operator: Operator, a: f64, b: f64) -> Result<Value<'a>, Failure> {
    Ok(Value::Double(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => return Err(Failure::no_overload()),
    }))
}

fn between<'a>(operator: Operator, a: SignedDuration, b: SignedDuration) -> Result<Value<'a>, Failure> {
    let sum = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        _ => return Err(Failure::no_overload()),
    };
    sum.map(Value::Duration)
        .ok_or_else(|| Failure::new("duration overflow"))
}
