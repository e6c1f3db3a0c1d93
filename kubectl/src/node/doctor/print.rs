//! Checks on the screen: a line each, what is wrong explained below it.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Check, Verdict};

const NAME_WIDTH: usize = 16;
const FAINT: Style = Style::new().dimmed();

/// For people; colours only where they are wanted.
pub(super) fn table(checks: &[Check]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for check in checks {
        line(&mut out, check)?;
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    match (count(Verdict::Fatal), count(Verdict::Warn)) {
        (0, 0) => writeln!(out, "\nAll is well: a node runs here."),
        (0, warnings) => writeln!(out, "\nA node runs here; {} could be better.", things(warnings)),
        (fatal, _) => writeln!(
            out,
            "\nNo node runs here before {} repaired.",
            if fatal == 1 {
                "this is".to_owned()
            } else {
                format!("these {fatal} things are")
            }
        ),
    }
}

/// For programs.
pub(super) fn json(checks: &[Check]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, checks)?;
    writeln!(out)
}

/// For an error message: the same lines without colours.
pub(in crate::node) fn explain(checks: &[Check]) -> String {
    let mut text = Vec::new();
    for check in checks {
        line(&mut text, check).expect("writing to memory doesn't fail");
    }
    let text = String::from_utf8(text).expect("only text was written");
    anstream::adapter::strip_str(text.trim_end()).to_string()
}

fn line(out: &mut impl Write, check: &Check) -> io::Result<()> {
    let (mark, colour) = match check.verdict {
        Verdict::Ok => ("ok", AnsiColor::Green),
        Verdict::Warn => ("warn", AnsiColor::Yellow),
        Verdict::Fatal => ("fatal", AnsiColor::Red),
    };
    let style = colour.on_default();
    let (name, found) = (check.name, &check.found);
    writeln!(out, "{style}{mark:<6}{style:#} {name:<NAME_WIDTH$} {found}")?;
    let indent = " ".repeat(7 + NAME_WIDTH + 1);
    if !check.breaks.is_empty() {
        writeln!(out, "{indent}{}", check.breaks)?;
    }
    if !check.repair.is_empty() {
        writeln!(out, "{indent}{FAINT}repair:{FAINT:#} {}", check.repair)?;
    }
    Ok(())
}

fn things(count: usize) -> String {
    if count == 1 {
        "one thing".to_owned()
    } else {
        format!("{count} things")
    }
}
