//! Durations as Go reads them: `1h30m`, `1.5s`, `-2ms`.

use jiff::SignedDuration;

/// Reads a duration; `None` when the text is none or it doesn't fit.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let length = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(length);
        nanos = nanos.checked_add(part(number, unit)?)?;
        rest = behind;
    }
    let nanos = i64::try_from(if negative { -nanos } else { nanos }).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

fn part(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let read = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<i128>().ok()
        }
    };
    // More digits than that are below a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    read(whole)?
        .checked_mul(unit)?
        .checked_add(read(fraction)?.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, nanos) in [
            ("0", 0),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("-2ms", -2_000_000),
            (".5h", 1_800_000_000_000),
            ("1us", 1_000),
        ] {
            assert_eq!(parse(text).map(|duration| duration.as_nanos()), Some(nanos), "{text}");
        }
        for text in ["", "1", "s", "1d", "1h-1m", ".s", "999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
