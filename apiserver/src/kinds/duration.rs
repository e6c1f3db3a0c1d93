//! How long ago: the short durations of kubectl's tables (`5s`, `3m20s`, `2d5h`).
//!
//! The steps are apimachinery's `util/duration.HumanDuration`: about three digits, never more than two units.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// From `then` to `now`.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    human(now.as_second() - then.as_second())
}

/// From a timestamp that may be missing; `<unknown>` then.
pub(crate) fn since_or_unknown(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "<unknown>".to_owned(), |then| since(then, now))
}

/// A number of seconds as tables show it. Clocks that differ by a second don't show.
pub(crate) fn human(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds, MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Whole `large` units and what remains in `small` ones, unless nothing does.
fn two(seconds: i64, large: i64, large_name: &str, small: i64, small_name: &str) -> String {
    let rest = seconds % large / small;
    if rest == 0 {
        format!("{}{large_name}", seconds / large)
    } else {
        format!("{}{large_name}{rest}{small_name}", seconds / large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_kubectl() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 30 * MINUTE, "7h30m"),
            (8 * HOUR + 30 * MINUTE, "8h"),
            (2 * DAY + 5 * HOUR, "2d5h"),
            (8 * DAY + 5 * HOUR, "8d"),
            (2 * YEAR + DAY, "2y1d"),
            (9 * YEAR, "9y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }
}
