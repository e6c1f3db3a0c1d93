//! Whether a text is a schedule: five fields, or a word like `@daily`.
//!
//! What is allowed, and the sentences about what isn't, are those of robfig/cron v3's standard parser, which upstream uses:
//! there 7 is no Sunday, and `N/STEP` means from N on.

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSchedule {
    #[error("empty spec string")]
    Empty,
    #[error("expected exactly 5 fields, found {count}: [{fields}]")]
    Fields { count: usize, fields: String },
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse duration {descriptor}: time: invalid duration {duration:?}")]
    Duration { descriptor: String, duration: String },
    #[error("provided bad location {zone}: unknown time zone {zone}")]
    Zone { zone: String },
    #[error("failed to parse int from {0}: strconv.Atoi: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error("negative number ({0}) not allowed: {0}")]
    Negative(i64),
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("beginning of range ({start}) below minimum ({minimum}): {text}")]
    Below { start: i64, minimum: i64, text: String },
    #[error("end of range ({end}) above maximum ({maximum}): {text}")]
    Above { end: i64, maximum: i64, text: String },
    #[error("beginning of range ({start}) beyond end of range ({end}): {text}")]
    Backwards { start: i64, end: i64, text: String },
    #[error("step of range should be a positive number: {0}")]
    Step(String),
}

/// What a field may be.
struct Bounds {
    minimum: i64,
    maximum: i64,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// Minute, hour, day, month, day of the week.
const FIELDS: [Bounds; 5] = [
    bounds(0, 59, &[]),
    bounds(0, 23, &[]),
    bounds(1, 31, &[]),
    bounds(1, 12, &MONTHS),
    bounds(0, 6, &DAYS),
];

const fn bounds(minimum: i64, maximum: i64, names: &'static [&'static str]) -> Bounds {
    Bounds {
        minimum,
        maximum,
        names,
    }
}

/// Whether the schedule is one.
pub(super) fn check(schedule: &str) -> Result<(), InvalidSchedule> {
    if schedule.is_empty() {
        return Err(InvalidSchedule::Empty);
    }
    let mut rest = schedule;
    if let Some(zoned) = schedule
        .strip_prefix("TZ=")
        .or_else(|| schedule.strip_prefix("CRON_TZ="))
    {
        let (zone, after) = zoned.split_once(' ').unwrap_or((zoned, ""));
        if !is_time_zone(zone) {
            return Err(InvalidSchedule::Zone { zone: zone.to_owned() });
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(InvalidSchedule::Fields {
            count: fields.len(),
            fields: fields.join(" "),
        });
    }
    for (text, bounds) in fields.into_iter().zip(&FIELDS) {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            range(part, bounds)?;
        }
    }
    Ok(())
}

/// Whether a text looks like the name of a time zone: `Europe/Berlin`, `Etc/GMT+1`. Which of them there are is for whoever
/// keeps the clock to say: the server may have no table of zones.
pub(super) fn is_time_zone(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    name.split('/').all(part)
}

fn descriptor(text: &str) -> Result<(), InvalidSchedule> {
    if WORDS.contains(&text) {
        return Ok(());
    }
    let Some(duration) = text.strip_prefix("@every ") else {
        return Err(InvalidSchedule::Descriptor(text.to_owned()));
    };
    if is_duration(duration) {
        return Ok(());
    }
    Err(InvalidSchedule::Duration {
        descriptor: text.to_owned(),
        duration: duration.to_owned(),
    })
}

/// `1h30m`, `1.5h`, as Go's `ParseDuration` reads it.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number = &rest[..digits];
        if number.matches('.').count() > 1 || !number.contains(|c: char| c.is_ascii_digit()) {
            return false;
        }
        rest = &rest[digits..];
        // The longer ones first: `m` begins `ms`.
        let units = ["ns", "us", "µs", "μs", "ms", "h", "m", "s"];
        match units.into_iter().find_map(|unit| rest.strip_prefix(unit)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// `5`, `1-5`, `*/2`, `mon-fri`
fn range(text: &str, bounds: &Bounds) -> Result<(), InvalidSchedule> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let everything = matches!(ends[0], "*" | "?");
    let (start, mut end) = if everything {
        (bounds.minimum, bounds.maximum)
    } else {
        let start = number_or_name(ends[0], bounds)?;
        match ends.as_slice() {
            [_] => (start, start),
            [_, end] => (start, number_or_name(end, bounds)?),
            _ => return Err(InvalidSchedule::Hyphens(text.to_owned())),
        }
    };
    match parts.as_slice() {
        [_] => {}
        [_, step] => {
            if number(step)? == 0 {
                return Err(InvalidSchedule::Step(text.to_owned()));
            }
            if ends.len() == 1 {
                end = bounds.maximum;
            }
        }
        _ => return Err(InvalidSchedule::Slashes(text.to_owned())),
    }
    let (minimum, maximum, text) = (bounds.minimum, bounds.maximum, text.to_owned());
    if start < minimum {
        Err(InvalidSchedule::Below { start, minimum, text })
    } else if end > maximum {
        Err(InvalidSchedule::Above { end, maximum, text })
    } else if start > end {
        Err(InvalidSchedule::Backwards { start, end, text })
    } else {
        Ok(())
    }
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<i64, InvalidSchedule> {
    let lower = text.to_lowercase();
    let named = (bounds.minimum..).zip(bounds.names).find(|(_, name)| **name == lower);
    named.map_or_else(|| number(text), |(number, _)| Ok(number))
}

fn number(text: &str) -> Result<i64, InvalidSchedule> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(InvalidSchedule::Negative(number)),
        Ok(number) => Ok(number),
        Err(_) => Err(InvalidSchedule::Number(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_schedules_are_taken() {
        for schedule in [
            "* * * * *",
            "*/15 0-6 1,15 jan-MAR mon-fri",
            "0 5/2 ? * 0",
            "@hourly",
            "@every 1h30m",
            "@every 1.5s",
            "TZ=Europe/Berlin 0 0 * * *",
            "CRON_TZ=UTC @daily",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
    }

    #[test]
    fn others_are_refused_in_the_words_of_the_parser() {
        for (schedule, why) in [
            ("", "empty spec string"),
            ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("*/1/2 * * * *", "too many slashes: */1/2"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            (
                "x * * * *",
                "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            ("@often", "unrecognized descriptor: @often"),
            (
                "@every day",
                "failed to parse duration @every day: time: invalid duration \"day\"",
            ),
            ("TZ=a!b 0 * * * *", "provided bad location a!b: unknown time zone a!b"),
        ] {
            let told = check(schedule).map_err(|error| error.to_string());
            assert_eq!(told, Err(why.to_owned()), "{schedule}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-@*/,0-9a-zTZ= µ.]{0,24}") {
            let _ = check(&text);
        }
    }
}
