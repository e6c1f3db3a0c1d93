//! What the user sees while the node starts or stops: a spinner with the steps above it on a terminal, plain lines in a pipe.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// Where steps are shown. Everything goes to stderr: stdout is for results.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    quiet: bool,
}

impl Progress {
    /// Shows on the terminal if stderr is one.
    #[must_use]
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            // The redrawing thread costs nothing measurable, and shows that something still moves.
            bar.enable_steady_tick(Duration::from_millis(80));
            bar
        });
        Self {
            bar,
            began: Instant::now(),
            quiet: false,
        }
    }

    /// Shows nothing but warnings.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            bar: None,
            began: Instant::now(),
            quiet: true,
        }
    }

    /// What is being waited for now.
    pub fn doing(&self, what: impl Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// A step that is done, with what it took.
    pub fn done(&self, what: impl Display, took: Duration) {
        if !self.quiet {
            let took = shown(took);
            self.line(format_args!("{GOOD}✓{GOOD:#} {what} {FAINT}{took}{FAINT:#}"));
        }
    }

    /// Something the user should know.
    pub fn warn(&self, what: impl Display) {
        self.line(format_args!("{WARNING}!{WARNING:#} {what}"));
    }

    /// Since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes the spinner away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: impl Display) {
        let write = || {
            // anstream leaves colours out where they aren't wanted: pipes, NO_COLOR, dumb terminals.
            let _ = writeln!(anstream::stderr(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A duration in the unit that people read.
pub(super) fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => format!("{} µs", duration.as_micros()),
        1..1000 => format!("{millis} ms"),
        _ if duration.as_secs() < 120 => format!("{:.1} s", duration.as_secs_f64()),
        _ => {
            let seconds = duration.as_secs();
            let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
            match (days, hours) {
                (0, 0) => format!("{minutes}m{}s", seconds % 60),
                (0, _) => format!("{hours}h{minutes}m"),
                _ => format!("{days}d{hours}h"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (0, "0 µs"),
            (7, "7 ms"),
            (1500, "1.5 s"),
            (125_000, "2m5s"),
            (3_720_000, "1h2m"),
            (90_000_000, "1d1h"),
        ] {
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
    }
}
