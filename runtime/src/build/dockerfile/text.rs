//! Words and lines of an instruction as it is written. Pure.

use super::super::Wrong;

/// An instruction's own part of the Dockerfile.
pub(super) struct Text<'a> {
    whole: &'a str,
    start: usize,
    end: usize,
    /// Its first line, from 1.
    pub(super) line: usize,
}

impl<'a> Text<'a> {
    pub(super) fn new(whole: &'a str, start: usize, end: usize) -> Self {
        Self {
            whole,
            start,
            end,
            line: whole[..start].matches('\n').count() + 1,
        }
    }

    pub(super) fn wrong(&self, what: String) -> Wrong {
        Wrong::new(self.line, format!("{}: {what}", self.on_one_line()))
    }

    /// The instruction's first logical line, spaces made single.
    pub(super) fn on_one_line(&self) -> String {
        let line = logical_lines(&self.whole[self.start..self.end]).into_iter().next();
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What is written from a place to the instruction's end, comments of the next one left out.
    pub(super) fn from(&self, start: usize) -> String {
        let text = &self.whole[start..self.end];
        let first = joined(text);
        if !first.contains("<<") {
            return first.lines().next().unwrap_or_default().to_owned();
        }
        // A here-document's lines are nobody's comments.
        text.trim_end().to_owned() + "\n"
    }

    /// What is written from a mark on.
    pub(super) fn after_mark(&self, mark: &str) -> String {
        let place = self.whole[self.start..self.end].find(mark).unwrap_or_default();
        self.from(self.start + place)
    }

    /// What the here-documents of a COPY are called.
    pub(super) fn here_document_names(&self) -> Vec<String> {
        let line = self.on_one_line();
        let words = line.split_whitespace().filter_map(|word| word.strip_prefix("<<"));
        words
            .map(|word| word.trim_start_matches('-').trim_matches(['"', '\'']).to_owned())
            .collect()
    }
}

/// A command's first logical line: lines that go on are joined, comments between them left out.
pub(super) fn joined(text: &str) -> String {
    logical_lines(text)
        .into_iter()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut going_on = false;
    for line in text.lines() {
        let bare = line.trim();
        if going_on && (bare.is_empty() || bare.starts_with('#')) {
            continue;
        }
        let (content, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if going_on => last.push_str(content),
            _ => lines.push(content.to_owned()),
        }
        going_on = goes_on;
    }
    lines
}

/// `A=1 B="two words"` or, as of old, `A the rest`. Quotes stay: what is in single ones isn't expanded.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = words(text);
    match words.first() {
        None => Err("it needs NAME=VALUE".to_owned()),
        Some(first) if !first.contains('=') => {
            let rest = text
                .trim_start()
                .strip_prefix(first.as_str())
                .unwrap_or_default()
                .trim();
            if rest.is_empty() {
                return Err(format!("{first} has no value: write {first}=VALUE"));
            }
            // Its spaces are the value's own.
            Ok(vec![(first.clone(), format!("\"{}\"", rest.trim_matches('"')))])
        }
        Some(_) => words.iter().map(|word| pair(word)).collect(),
    }
}

fn pair(word: &str) -> Result<(String, String), String> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.trim_matches(['"', '\'']).to_owned(), value.to_owned())),
        _ => Err(format!("{word} is no NAME=VALUE: put a value with spaces in quotes")),
    }
}

/// `A` or `A=default`, one or several.
pub(super) fn arguments(text: &str) -> Vec<(String, Option<String>)> {
    let argument = |word: String| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word, None),
    };
    words(text).into_iter().map(argument).collect()
}

/// Cuts at spaces outside of quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => {
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(character),
            (character, Some(open)) if character == open => quote = None,
            (character, None) if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
