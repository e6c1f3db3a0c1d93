//! Reads a template's text.

use serde_json::Value;

use super::{Comparison, Part, Step};

pub(super) struct Parser<'a> {
    pub(super) rest: &'a str,
}

impl Parser<'_> {
    /// Parts up to the end of the text (false) or an `{end}` (true).
    pub(super) fn parts(&mut self) -> Result<(Vec<Part>, bool), String> {
        let mut parts = Vec::new();
        while !self.rest.is_empty() {
            let Some(open) = self.rest.find('{') else {
                parts.push(Part::Text(std::mem::take(&mut self.rest).to_owned()));
                break;
            };
            if open > 0 {
                parts.push(Part::Text(self.rest[..open].to_owned()));
            }
            self.rest = &self.rest[open + 1..];
            self.blank();
            if self.word("end") {
                self.expect('}')?;
                return Ok((parts, true));
            }
            if self.word("range") {
                let path = self.path()?;
                self.expect('}')?;
                let (body, ended) = self.parts()?;
                if !ended {
                    return Err("unexpected end of template: a range lacks its {end}".to_owned());
                }
                parts.push(Part::Range(path, body));
                continue;
            }
            while !self.rest.starts_with('}') {
                if self.rest.starts_with(['"', '\'']) {
                    parts.push(Part::Text(self.quoted()?));
                } else {
                    parts.push(Part::Path(self.path()?));
                }
                self.blank();
            }
            self.expect('}')?;
        }
        Ok((parts, false))
    }

    fn path(&mut self) -> Result<Vec<Step>, String> {
        self.blank();
        let mut steps = Vec::new();
        if self.rest.starts_with(['$', '@']) {
            self.rest = &self.rest[1..];
        } else if !self.rest.starts_with(['.', '[']) {
            // kubectl takes {metadata.name} for {.metadata.name}.
            match self.name() {
                Some(name) => steps.push(Step::Field(name)),
                None => return Err(format!("unrecognized character in action: {:?}", self.rest)),
            }
        }
        loop {
            if let Some(rest) = self.rest.strip_prefix("..") {
                self.rest = rest;
                let name = self.name().ok_or("a name is missing after ..")?;
                steps.push(Step::Below(name));
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                if let Some(rest) = self.rest.strip_prefix('*') {
                    self.rest = rest;
                    steps.push(Step::Every);
                } else if let Some(name) = self.name() {
                    steps.push(Step::Field(name));
                }
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                steps.push(self.brackets()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let end = loop {
            match characters.next() {
                None => break self.rest.len(),
                Some((_, '\\')) => name.extend(characters.next().map(|(_, c)| c)),
                Some((at, c)) if " \t.[]{}()=<>!,|&'\"".contains(c) => break at,
                Some((_, c)) => name.push(c),
            }
        };
        self.rest = &self.rest[end..];
        (!name.is_empty()).then_some(name)
    }

    fn brackets(&mut self) -> Result<Step, String> {
        self.blank();
        let step = if let Some(rest) = self.rest.strip_prefix("?(") {
            self.rest = rest;
            let filter = self.filter()?;
            self.expect(')')?;
            filter
        } else if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            Step::Every
        } else if self.rest.starts_with(['"', '\'']) {
            self.fields()?
        } else {
            self.numbers()?
        };
        self.blank();
        self.expect(']')?;
        Ok(step)
    }

    fn fields(&mut self) -> Result<Step, String> {
        let mut names = vec![self.quoted()?];
        self.blank();
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            self.blank();
            names.push(self.quoted()?);
            self.blank();
        }
        Ok(match names.len() {
            1 => Step::Field(names.remove(0)),
            _ => Step::Fields(names),
        })
    }

    fn numbers(&mut self) -> Result<Step, String> {
        let end = self.rest.find(']').ok_or("unterminated array")?;
        let inside = &self.rest[..end];
        self.rest = &self.rest[end..];
        let number = |text: &str| {
            text.trim()
                .parse::<i64>()
                .map_err(|_| format!("invalid array index {text:?}"))
        };
        if let Some((from, to)) = inside.split_once(':') {
            let bound = |text: &str| {
                if text.trim().is_empty() {
                    Ok(None)
                } else {
                    number(text).map(Some)
                }
            };
            return Ok(Step::Slice(bound(from)?, bound(to)?));
        }
        inside
            .split(',')
            .map(number)
            .collect::<Result<_, _>>()
            .map(Step::Indices)
    }

    fn filter(&mut self) -> Result<Step, String> {
        let path = self.path()?;
        self.blank();
        let comparisons = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = comparisons.iter().find(|(sign, _)| self.rest.starts_with(sign));
        let Some((sign, comparison)) = found else {
            return Ok(Step::Filter { path, test: None });
        };
        self.rest = &self.rest[sign.len()..];
        self.blank();
        let wanted = if self.rest.starts_with(['"', '\'']) {
            Value::String(self.quoted()?)
        } else {
            let end = self.rest.find(')').ok_or("unterminated filter")?;
            let text = self.rest[..end].trim();
            let wanted = serde_json::from_str(text).map_err(|_| format!("invalid literal {text:?} in filter"))?;
            self.rest = &self.rest[end..];
            wanted
        };
        self.blank();
        Ok(Step::Filter {
            path,
            test: Some((*comparison, wanted)),
        })
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut characters = self.rest.char_indices();
        let Some((_, quote)) = characters.next() else {
            return Err("text is missing".to_owned());
        };
        let mut text = String::new();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(format!("unterminated quoted text: {}", self.rest))
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word).filter(|rest| rest.starts_with([' ', '}']));
        match rest {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        self.blank();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(format!("expected {wanted:?} before {:?}", self.rest)),
        }
    }
}
