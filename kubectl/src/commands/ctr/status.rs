//! The live table of a pull or push: a line for what was resolved, then for each index, manifest, layer and config, each with a
//! word and a bar, and below what has come in all. On a terminal it is drawn anew in its place, in a pipe once at the end.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use minik_api::images::layer::State;
use minik_api::images::{Layer, Progress};

use super::tabs::{NARROW, binary};

/// Characters of a bar between its ends.
const BAR: usize = 38;

/// What is shown of one pull or push.
pub(super) struct Table {
    /// Of what was to be resolved; none for a push.
    resolving: Option<String>,
    started: Instant,
    /// All was here, and unpacking was left.
    fetched: Option<Instant>,
    last: Progress,
    /// Lines on the terminal that the next drawing replaces; none where there is no terminal.
    lines: Option<usize>,
}

impl Table {
    pub(super) fn new(resolving: Option<String>) -> Self {
        Self {
            resolving,
            started: Instant::now(),
            fetched: None,
            last: Progress::default(),
            lines: io::stdout().is_terminal().then_some(0),
        }
    }

    /// Takes a picture.
    pub(super) fn show(&mut self, progress: &Progress) -> io::Result<()> {
        // The last word of something that was here already has no picture.
        if !progress.layers.is_empty() || !progress.documents.is_empty() {
            self.last = progress.clone();
        }
        if self.fetched.is_none() && is_fetched(&self.last) {
            self.fetched = Some(Instant::now());
        }
        if self.lines.is_some() {
            self.draw()?;
        }
        Ok(())
    }

    /// The table as it stays, and how long the unpacking took after everything had come.
    pub(super) fn finish(mut self) -> io::Result<Duration> {
        self.draw()?;
        Ok(self.fetched.map(|fetched| fetched.elapsed()).unwrap_or_default())
    }

    fn draw(&mut self) -> io::Result<()> {
        let text = table(self.resolving.as_deref(), &self.last, self.started.elapsed());
        let mut out = anstream::stdout().lock();
        if let Some(lines) = self.lines.filter(|lines| *lines > 0) {
            // Up to the first line of the last drawing, and away with it.
            write!(out, "\x1b[{lines}A\x1b[J")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        if self.lines.is_some() {
            self.lines = Some(text.lines().count());
        }
        Ok(())
    }
}

fn is_fetched(progress: &Progress) -> bool {
    let all = progress.documents.iter().chain(&progress.layers);
    let here = |layer: &Layer| matches!(layer.state(), State::Done | State::Exists | State::Unpacking);
    !progress.documents.is_empty() && !progress.layers.is_empty() && all.into_iter().all(here)
}

/// The digest that was resolved: of the index, or the manifest where there is none.
pub(super) fn resolved(progress: &Progress) -> Option<&str> {
    progress.documents.first().map(|document| document.digest.as_str())
}

/// Pure.
fn table(resolving: Option<&str>, progress: &Progress, elapsed: Duration) -> String {
    let mut text = String::new();
    if let Some(name) = resolving {
        let word = if progress.documents.is_empty() {
            "resolving"
        } else {
            "resolved"
        };
        let done = if progress.documents.is_empty() { 0 } else { BAR };
        text.push_str(&format!("{name}:\t{word}\t{}\t\n", bar(done)));
    }
    let (config, documents): (Vec<&Layer>, Vec<&Layer>) = progress
        .documents
        .iter()
        .partition(|document| document.kind == "config");
    for part in documents.into_iter().chain(&progress.layers).chain(config) {
        text.push_str(&line(part));
    }
    let total = come(progress);
    let seconds = elapsed.as_secs_f64();
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (total as f64 / seconds.max(0.001)) as u64;
    let (total, rate) = (binary(total), binary(rate));
    text.push_str(&format!("elapsed: {seconds:<4.1}s\ttotal: {total:>7}\t({rate}/s)\t\n"));
    NARROW.format(&text)
}

fn line(part: &Layer) -> String {
    let kind = if part.kind.is_empty() { "layer" } else { &part.kind };
    let name = format!("{kind}-{}", part.digest);
    let word = match part.state() {
        State::Waiting => "waiting",
        State::Downloading => "downloading",
        // What is left of it is told by the line below the table.
        State::Unpacking | State::Done => "done",
        State::Exists => "exists",
    };
    match part.state() {
        State::Waiting => format!("{name}:\t{word}\t{}\t\n", bar(0)),
        State::Downloading => {
            let done = usize::try_from(part.offset_bytes * BAR as u64 / part.total_bytes.max(1)).unwrap_or(BAR);
            let amount = format!("{:>8}/{}", binary(part.offset_bytes), binary(part.total_bytes));
            format!("{name}:\t{word}\t{}\t{amount}\t\n", bar(done.min(BAR)))
        }
        State::Unpacking | State::Done | State::Exists => format!("{name}:\t{word}\t{}\t\n", bar(BAR)),
    }
}

fn bar(done: usize) -> String {
    format!("|{}{}|", "+".repeat(done), "-".repeat(BAR - done))
}

/// Bytes that came over the network.
fn come(progress: &Progress) -> u64 {
    let all = progress.documents.iter().chain(&progress.layers);
    all.filter(|part| part.state() != State::Exists)
        .map(|part| part.offset_bytes)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, digest: &str, state: State, offset_bytes: u64, total_bytes: u64) -> Layer {
        Layer {
            digest: format!("sha256:{digest}"),
            state: state.into(),
            offset_bytes,
            total_bytes,
            kind: kind.to_owned(),
        }
    }

    #[test]
    fn every_part_has_a_line_with_a_word_and_a_bar() {
        let progress = Progress {
            documents: vec![
                part("index", "aa", State::Done, 1000, 1000),
                part("manifest", "bb", State::Done, 500, 500),
                part("config", "dd", State::Waiting, 0, 300),
            ],
            layers: vec![
                part("", "c1", State::Exists, 4096, 4096),
                part("", "c2", State::Downloading, 1024, 2048),
            ],
            ..Progress::default()
        };
        let text = table(Some("docker.io/library/a:1"), &progress, Duration::from_millis(1200));
        let (full, empty) = ("+".repeat(38), "-".repeat(38));
        let half = format!("{}{}", "+".repeat(19), "-".repeat(19));
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let row = |name: &str, word: &str, bar: &str| {
            let line = words
                .iter()
                .find(|line| line[0] == name)
                .unwrap_or_else(|| panic!("{name} in {text}"));
            assert_eq!((line[1], line[2]), (word, format!("|{bar}|").as_str()), "{text}");
        };
        row("docker.io/library/a:1:", "resolved", &full);
        row("index-sha256:aa:", "done", &full);
        row("manifest-sha256:bb:", "done", &full);
        row("layer-sha256:c1:", "exists", &full);
        row("layer-sha256:c2:", "downloading", &half);
        row("config-sha256:dd:", "waiting", &empty);
        assert!(text.contains("1.0 KiB/2.0 KiB"), "{text}");
        assert!(text.contains("elapsed: 1.2 s") && text.contains("2.5 KiB"), "{text}");
        let names: Vec<&str> = words
            .iter()
            .map(|line| line[0].split('-').next().unwrap_or_default())
            .collect();
        assert_eq!(
            names,
            [
                "docker.io/library/a:1:",
                "index",
                "manifest",
                "layer",
                "layer",
                "config",
                "elapsed:"
            ]
        );
    }

    #[test]
    fn all_has_come_when_nothing_is_on_its_way() {
        let progress = |state: State| Progress {
            documents: vec![part("manifest", "bb", State::Done, 1, 1)],
            layers: vec![part("", "c1", state, 0, 1)],
            ..Progress::default()
        };
        assert!(!is_fetched(&Progress::default()));
        assert!(!is_fetched(&progress(State::Downloading)));
        assert!(is_fetched(&progress(State::Unpacking)) && is_fetched(&progress(State::Exists)));
    }
}
