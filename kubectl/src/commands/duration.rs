//! Durations as Go writes them: `5s`, `2m30s`, `1h`, `300ms`.

use std::time::Duration;

/// Reads one; `0` needs no unit, and a negative one (`-1s`) means for ever: about a week, as in kubectl.
///
/// # Errors
/// When the text is no duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refused = || format!("invalid duration {text:?}: write it as 30s, 5m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(refused());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(refused)?;
        let number: f64 = rest[..digits].parse().map_err(|_| refused())?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| at + digits);
        let unit = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(refused()),
        };
        seconds += number * unit;
        rest = &rest[unit_end..];
    }
    if negative {
        return Ok(Duration::from_secs(7 * 24 * 3600));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refused())
}

/// Reads one, or a plain number of seconds, as `--request-timeout` may be given.
///
/// # Errors
/// When the text is neither.
pub fn parse_or_seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).or_else(|_| parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, millis) in [
            ("5s", 5_000),
            ("2m30s", 150_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-", "1h30", "9999999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
