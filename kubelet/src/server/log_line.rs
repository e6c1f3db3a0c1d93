//! Lines of the CRI's log format, and which part of them a client wants: pure.
//!
//! `2026-01-02T03:04:05.000000006Z stdout F text`; the tag is `P` where a long line goes on in the next entry.

use jiff::Timestamp;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: &'a str,
    /// The line ends with this entry.
    pub(crate) is_whole: bool,
    pub(crate) text: &'a [u8],
}

/// Reads an entry without its newline; none if it is in another format.
pub(crate) fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    let (tags, text) = word(rest).unwrap_or((rest, &[]));
    let tags = std::str::from_utf8(tags).ok()?;
    Some(Entry {
        time: std::str::from_utf8(time).ok()?,
        stream: std::str::from_utf8(stream).ok()?,
        is_whole: tags.split(':').next() != Some("P"),
        text,
    })
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// What a client asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) timestamps: bool,
    pub(crate) since: Option<Timestamp>,
    /// `stdout` or `stderr` alone.
    pub(crate) stream: Option<String>,
    pub(crate) limit_bytes: Option<usize>,
}

/// Turns entries into what the client gets.
#[derive(Debug)]
pub(crate) struct Printer {
    wanted: Wanted,
    left: Option<usize>,
    is_within_line: bool,
}

impl Printer {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            left: wanted.limit_bytes,
            wanted,
            is_within_line: false,
        }
    }

    /// The client has got as much as it wants.
    pub(crate) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Appends what this line (without its newline) gives.
    pub(crate) fn print(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(entry) = parse(line) else { return };
        if self.wanted.stream.as_ref().is_some_and(|stream| stream != entry.stream) {
            return;
        }
        if let Some(since) = self.wanted.since {
            let time: Option<Timestamp> = entry.time.parse().ok();
            if time.is_some_and(|time| time < since) {
                return;
            }
        }
        let from = out.len();
        if self.wanted.timestamps && !self.is_within_line {
            out.extend_from_slice(entry.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(entry.text);
        if entry.is_whole {
            out.push(b'\n');
        }
        self.is_within_line = !entry.is_whole;
        if let Some(left) = &mut self.left {
            let taken = (out.len() - from).min(*left);
            out.truncate(from + taken);
            *left -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 4] = [
        "2026-01-02T03:04:05.1Z stdout F one",
        "2026-01-02T03:04:06.1Z stderr P tw",
        "2026-01-02T03:04:06.2Z stderr F o",
        "2026-01-02T03:04:07.1Z stdout F ",
    ];

    fn printed(wanted: Wanted) -> String {
        let mut printer = Printer::new(wanted);
        let mut out = Vec::new();
        for line in LINES {
            printer.print(line.as_bytes(), &mut out);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn lines_are_put_together() {
        assert_eq!(printed(Wanted::default()), "one\ntwo\n\n");
    }

    #[test]
    fn what_is_asked_for_is_chosen() {
        let since = "2026-01-02T03:04:06Z".parse().ok();
        assert_eq!(
            printed(Wanted {
                since,
                ..Default::default()
            }),
            "two\n\n"
        );
        let stream = Some("stdout".to_owned());
        assert_eq!(
            printed(Wanted {
                stream,
                ..Default::default()
            }),
            "one\n\n"
        );
        let timestamps = printed(Wanted {
            timestamps: true,
            ..Default::default()
        });
        assert!(
            timestamps.starts_with("2026-01-02T03:04:05.1Z one\n2026-01-02T03:04:06.1Z two\n"),
            "{timestamps}"
        );
        assert_eq!(
            printed(Wanted {
                limit_bytes: Some(6),
                ..Default::default()
            }),
            "one\ntw"
        );
    }

    #[test]
    fn other_formats_are_left_out() {
        assert_eq!(parse(b"nonsense"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"t stdout F").map(|entry| entry.text), Some(&b""[..]));
    }
}
