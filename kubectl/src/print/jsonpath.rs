//! Kubernetes' JSONPath templates: text with paths in braces, `{range .items[*]}{.metadata.name}{"\n"}{end}`.
//!
//! Understood: `$` and `@`, `.field`, `['field']`, `\.` in a field, `*`, `..field`, `[1]`, `[-1]`, `[a:b]`, `[a,b]`, filters
//! `[?(@.a=="b")]` with `== != < <= > >=` or none, quoted text, `range`/`end`.

use std::str::FromStr;

use serde_json::Value;

/// A template, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Every,
    Below(String),
    Slice(Option<i64>, Option<i64>),
    Indices(Vec<i64>),
    Filter {
        path: Vec<Step>,
        test: Option<(Comparison, Value)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// What the template makes of a value; what is not there is nothing.
    #[must_use]
    pub fn render(&self, value: &Value) -> String {
        let mut text = String::new();
        render(&self.0, value, &mut text);
        text
    }

    /// What the template's first path finds.
    #[must_use]
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let path = self.0.iter().find_map(|part| match part {
            Part::Path(steps) => Some(steps),
            _ => None,
        });
        path.map(|steps| walk(steps, value)).unwrap_or_default()
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A bare path is taken for one in braces.
        let whole = if text.contains('{') {
            text.to_owned()
        } else {
            format!("{{{text}}}")
        };
        let mut parser = Parser { rest: &whole };
        let (parts, ended) = parser.parts()?;
        if ended {
            Err("not in range, nothing to end".to_owned())
        } else {
            Ok(Self(parts))
        }
    }
}

fn render(parts: &[Part], current: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Path(steps) => {
                let found: Vec<String> = walk(steps, current).into_iter().map(plain).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(steps, body) => {
                for item in walk(steps, current) {
                    render(body, item, text);
                }
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn walk<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    steps.iter().fold(vec![value], |found, step| {
        found.into_iter().flat_map(|value| apply(step, value)).collect()
    })
}

fn apply<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Every => children(value),
        Step::Below(name) => {
            let mut found: Vec<&Value> = value.get(name).into_iter().collect();
            for child in children(value) {
                found.extend(apply(step, child));
            }
            found
        }
        Step::Indices(indices) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            indices
                .iter()
                .filter_map(|index| list.get(position(*index, list.len())?))
                .collect()
        }
        Step::Slice(from, to) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            let bound = |at: &Option<i64>, default| at.map_or(default, |at| position(at, list.len()).unwrap_or(0));
            let (from, to) = (bound(from, 0), bound(to, list.len()).min(list.len()));
            list.get(from..to).unwrap_or_default().iter().collect()
        }
        Step::Filter { path, test } => children(value)
            .into_iter()
            .filter(|child| {
                let found = walk(path, child);
                match test {
                    None => !found.is_empty(),
                    Some((comparison, wanted)) => found.iter().any(|found| compare(found, *comparison, wanted)),
                }
            })
            .collect(),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// An index from the end is negative.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length + index } else { index }).ok()
}

fn compare(found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let order = match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.partial_cmp(&wanted),
        _ => found
            .as_str()
            .zip(wanted.as_str())
            .map(|(found, wanted)| found.cmp(wanted)),
    };
    match comparison {
        Equal => found == wanted || order.is_some_and(std::cmp::Ordering::is_eq),
        NotEqual => found != wanted && !order.is_some_and(std::cmp::Ordering::is_eq),
        Less => order.is_some_and(std::cmp::Ordering::is_lt),
        LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Parts up to the end of the text (false) or an `{end}` (true).
    fn parts(&mut self) -> Result<(Vec<Part>, bool), String> {
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
            Step::Field(self.quoted()?)
        } else {
            self.numbers()?
        };
        self.blank();
        self.expect(']')?;
        Ok(step)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pods() -> Value {
        json!({"items": [
            {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "status": {"phase": "Running", "restarts": 3}},
            {"metadata": {"name": "b", "labels": {}}, "status": {"phase": "Pending", "restarts": 0}}]})
    }

    #[test]
    fn templates_render_as_in_kubectl() {
        for (template, expected) in [
            ("{.items[*].metadata.name}", "a b"),
            (".items[0].metadata.name", "a"),
            ("{.items[-1].metadata.name}", "b"),
            ("{.items[0:1].metadata.name}", "a"),
            ("{.items[0,1].metadata.name}", "a b"),
            (
                "{range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}",
                "a\tRunning\nb\tPending\n",
            ),
            ("{.items[?(@.status.phase==\"Running\")].metadata.name}", "a"),
            ("{.items[?(@.status.restarts<1)].metadata.name}", "b"),
            ("{.items[?(@.metadata.labels.nope)].metadata.name}", ""),
            ("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x"),
            ("{.items[0].metadata.labels['app.kubernetes.io/name']}", "x"),
            ("{..name}", "a b"),
            ("{.items[0].metadata.labels}", "{\"app.kubernetes.io/name\":\"x\"}"),
            ("name: {.items[0].metadata.name}!", "name: a!"),
            ("{.none}", ""),
        ] {
            assert_eq!(
                template.parse::<Template>().expect(template).render(&pods()),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn broken_templates_are_refused() {
        for template in [
            "{.a",
            "{range .a}",
            "{end}",
            "{.a[}",
            "{.a[?(@.b==)]}",
            "{.a['b}",
            "{|}",
        ] {
            assert!(template.parse::<Template>().is_err(), "{template}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(template in "[-{}\\[\\].*@$?()=<>'\"\\\\a-c0-9:, ]{0,40}") {
            if let Ok(template) = template.parse::<Template>() {
                let _ = template.render(&pods());
            }
        }
    }
}
