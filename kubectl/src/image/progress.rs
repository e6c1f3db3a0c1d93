//! Showing how far images are: a bar a layer on a terminal, a line for each change of state in a pipe.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use minik_api::images::layer::State;
use minik_api::images::{Layer, Progress};

use crate::print::style::{FAINT, GOOD};

/// What is shown of pulls and imports.
pub struct View {
    bars: Option<MultiProgress>,
    layers: HashMap<(String, String), Shown>,
    said: HashMap<String, u32>,
}

struct Shown {
    bar: Option<ProgressBar>,
    state: State,
}

impl View {
    /// On a terminal with bars, in a pipe with lines.
    #[must_use]
    pub fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self::on(bars)
    }

    /// Below or beside what the caller shows.
    #[must_use]
    pub fn on(bars: Option<MultiProgress>) -> Self {
        Self {
            bars,
            layers: HashMap::new(),
            said: HashMap::new(),
        }
    }

    /// Shows where an image is now.
    pub fn show(&mut self, progress: &Progress) {
        for layer in &progress.layers {
            self.layer(&progress.image, layer);
        }
        if self.bars.is_none() {
            self.quarter(progress);
        }
    }

    /// Takes an image's bars away.
    pub fn finish(&mut self, image: &str) {
        self.layers.retain(|(of, _), shown| {
            if of == image
                && let Some(bar) = &shown.bar
            {
                bar.finish_and_clear();
            }
            of != image
        });
    }

    /// Writes a line above the bars.
    pub fn say(&self, line: &str) {
        let write = || {
            // Nothing can be said when stderr is gone.
            let _ = writeln!(anstream::stderr(), "{line}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn layer(&mut self, image: &str, layer: &Layer) {
        let key = (image.to_owned(), layer.digest.clone());
        let state = layer.state();
        let bars = self.bars.as_ref();
        let shown = self.layers.entry(key).or_insert_with(|| Shown {
            bar: bars.map(|bars| bars.add(bar(layer))),
            state: State::Waiting,
        });
        let Some(bar) = &shown.bar else { return };
        bar.set_length(layer.total_bytes.max(1));
        bar.set_position(layer.offset_bytes);
        if shown.state != state {
            shown.state = state;
            bar.set_message(word(state));
            if matches!(state, State::Done | State::Exists) {
                bar.set_position(layer.total_bytes.max(1));
                bar.finish_with_message(word(state));
            }
        }
    }

    /// In a pipe: a line for each quarter of an image.
    fn quarter(&mut self, progress: &Progress) {
        let (have, all) = totals(&progress.layers);
        if all == 0 {
            return;
        }
        let quarter = u32::try_from(have * 4 / all).unwrap_or(4);
        let before = self.said.insert(progress.image.clone(), quarter);
        if quarter > 0 && before != Some(quarter) {
            let (have, all) = (size(have), size(all));
            self.say(&format!("{}: {}% ({have} of {all})", progress.image, quarter * 25));
        }
    }
}

/// Bytes that are here, and bytes in all.
#[must_use]
pub fn totals(layers: &[Layer]) -> (u64, u64) {
    layers.iter().fold((0, 0), |(have, all), layer| {
        let here = matches!(layer.state(), State::Done | State::Exists | State::Unpacking);
        let have = have
            + if here {
                layer.total_bytes
            } else {
                layer.offset_bytes.min(layer.total_bytes)
            };
        (have, all + layer.total_bytes)
    })
}

/// A size for people, in powers of ten, as registries count.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut whole = bytes;
    let mut tenth = 0;
    while whole >= 1000 && unit < UNITS.len() - 1 {
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit += 1;
    }
    if unit == 0 || whole >= 100 {
        format!("{whole}{}", UNITS[unit])
    } else {
        format!("{whole}.{tenth}{}", UNITS[unit])
    }
}

/// The first twelve digits of a digest.
#[must_use]
pub fn short(digest: &str) -> &str {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

fn bar(layer: &Layer) -> ProgressBar {
    let bar = ProgressBar::new(layer.total_bytes.max(1));
    let template = "  {prefix} {bar:30.cyan/blue} {decimal_bytes:>10} / {decimal_total_bytes:<10} {msg}";
    bar.set_style(
        ProgressStyle::with_template(template)
            .expect("a fixed template")
            .progress_chars("━╸─"),
    );
    bar.set_prefix(short(&layer.digest).to_owned());
    bar.set_message(word(State::Waiting));
    bar
}

fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Downloading => "downloading",
        State::Unpacking => "unpacking",
        State::Done => "done",
        State::Exists => "already here",
    }
}

/// `✓ nginx:stable  sha256:...`
#[must_use]
pub fn done(image: &str, image_ref: &str) -> String {
    let (good, faint) = (GOOD.render(), FAINT.render());
    let end = GOOD.render_reset();
    format!("{good}✓{end} {image}  {faint}{}{end}", short(image_ref))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1.0kB"),
            (54_321_000, "54.3MB"),
            (187_000_000, "187MB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
    }

    #[test]
    fn what_is_here_already_counts_as_here() {
        let layer = |state: State, offset_bytes, total_bytes| Layer {
            digest: String::new(),
            state: state.into(),
            offset_bytes,
            total_bytes,
            ..Layer::default()
        };
        let layers = [
            layer(State::Exists, 0, 10),
            layer(State::Downloading, 5, 20),
            layer(State::Unpacking, 30, 30),
        ];
        assert_eq!(totals(&layers), (45, 60));
    }
}
