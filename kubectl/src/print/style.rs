//! Colour, where there is a terminal that wants it (anstream decides: NO_COLOR, TERM=dumb and pipes get none).

use anstyle::{AnsiColor, Style};

/// Clap's help.
pub const HELP: clap::builder::Styles = clap::builder::Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is on its way.
pub const PENDING: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Headings.
pub const STRONG: Style = Style::new().bold();
/// What may be overlooked.
pub const FAINT: Style = Style::new().dimmed();

/// The colour of a word in a status column, as far as the word says how things are.
#[must_use]
pub fn of_status(word: &str) -> Option<Style> {
    let word = word.strip_prefix("Init:").unwrap_or(word);
    match word {
        "Running" | "Succeeded" | "Completed" | "Ready" | "Active" | "Bound" | "True" | "Healthy" => Some(GOOD),
        "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" | "Unknown" | "NotReady"
        | "SchedulingGated" => Some(PENDING),
        _ if word.starts_with("Ready,") => Some(PENDING),
        _ if word.starts_with("Err") || word.ends_with("Error") || word.ends_with("BackOff") => Some(BAD),
        "Failed"
        | "OOMKilled"
        | "Evicted"
        | "ContainerStatusUnknown"
        | "InvalidImageName"
        | "Lost"
        | "DeadlineExceeded" => Some(BAD),
        _ => None,
    }
}
