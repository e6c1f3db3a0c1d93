//! Signals by name or number.

use nix::sys::signal::Signal;

use super::CommandError;

/// `TERM`, `SIGTERM`, `15`, `RTMIN+3`; 0 only asks whether the process is there.
pub(super) fn number(text: &str) -> Result<i32, CommandError> {
    let unknown = || CommandError::Signal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return (0..=64).contains(&number).then_some(number).ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(bare) {
        return Ok(number);
    }
    format!("SIG{bare}")
        .parse::<Signal>()
        .map(|signal| signal as i32)
        .map_err(|_| unknown())
}

/// `RTMIN+n` and `RTMAX-n`, as the C library counts them: from 34 to 64.
fn real_time(name: &str) -> Option<i32> {
    let (first, last) = (34, 64);
    let offset = |text: &str, sign: char| match text {
        "" => Some(0),
        text => text.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => first + offset(rest, '+')?,
        (_, Some(rest)) => last - offset(rest, '-')?,
        _ => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, wanted) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("sigusr1", 10),
            ("0", 0),
            ("64", 64),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("RTMIN", 34),
        ] {
            assert_eq!(number(text).expect(text), wanted, "{text}");
        }
        for text in ["", "65", "-1", "NOPE", "RTMIN+40", "RTMINx"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
