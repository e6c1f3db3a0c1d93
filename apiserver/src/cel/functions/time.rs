//! Times and durations: their parts.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Maybe;
use crate::cel::Failure;
use crate::cel::value::Value;

/// A part of a time or duration.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    match values {
        [Value::Timestamp(time)] => Ok(part(name, &time.to_zoned(TimeZone::UTC))),
        [Value::Timestamp(time), Value::Text(zone)] => Ok(part(name, &zoned(*time, zone)?)),
        [Value::Duration(duration)] => Ok(whole(name, *duration)),
        _ => Ok(None),
    }
}

fn part<'a>(name: &str, time: &Zoned) -> Option<Value<'a>> {
    Some(Value::Int(match name {
        "getFullYear" => time.year().into(),
        // Counted from 0, as in JavaScript.
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => time.day().into(),
        "getDayOfWeek" => time.weekday().to_sunday_zero_offset().into(),
        "getHours" => time.hour().into(),
        "getMinutes" => time.minute().into(),
        "getSeconds" => time.second().into(),
        "getMilliseconds" => time.millisecond().into(),
        _ => return None,
    }))
}

fn whole<'a>(name: &str, duration: SignedDuration) -> Option<Value<'a>> {
    Some(Value::Int(match name {
        "getHours" => duration.as_secs() / 3600,
        "getMinutes" => duration.as_secs() / 60,
        "getSeconds" => duration.as_secs(),
        "getMilliseconds" => duration.subsec_millis().into(),
        _ => return None,
    }))
}

/// At `-08:00`, or in `Europe/Berlin` where the machine knows it.
fn zoned(time: Timestamp, zone: &str) -> Result<Zoned, Failure> {
    let unknown = || Failure::new(format!("unknown time zone {zone}"));
    let (sign, digits) = match zone.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    if let Some((hours, minutes)) = digits.split_once(':') {
        let (hours, minutes): (i32, i32) = (
            hours.parse().map_err(|_| unknown())?,
            minutes.parse().map_err(|_| unknown())?,
        );
        let seconds = hours
            .checked_mul(60)
            .and_then(|sum| sum.checked_add(minutes)?.checked_mul(60));
        let offset = seconds
            .and_then(|seconds| Offset::from_seconds(sign * seconds).ok())
            .ok_or_else(unknown)?;
        return Ok(time.to_zoned(offset.to_time_zone()));
    }
    TimeZone::get(zone)
        .map(|zone| time.to_zoned(zone))
        .map_err(|_| unknown())
}
