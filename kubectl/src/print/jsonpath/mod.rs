//! Kubernetes' JSONPath templates: text with paths in braces, `{range .items[*]}{.metadata.name}{"\n"}{end}`.
//!
//! Understood: `$` and `@`, `.field`, `['field']`, `\.` in a field, `*`, `..field`, `[1]`, `[-1]`, `[a:b]`, `[a,b]`, filters
//! `[?(@.a=="b")]` with `== != < <= > >=` or none, quoted text, `range`/`end`.

mod parse;
mod walk;

use std::str::FromStr;

use serde_json::Value;

use parse::Parser;
use walk::{Form, render, walk};

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
    /// `['a','b']`: the first of all, then the second of all.
    Fields(Vec<String>),
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
    /// As `-o jsonpath=` takes it: what stands outside of braces is text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn exact(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let (parts, ended) = parser.parts()?;
        if ended {
            Err("not in range, nothing to end".to_owned())
        } else {
            Ok(Self(parts))
        }
    }

    /// As `--sort-by` and columns take it: `metadata.name`, `.metadata.name` or `{.metadata.name}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn relaxed(text: &str) -> Result<Self, String> {
        let path = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let dot = if path.starts_with(['.', '[', '$', '@']) {
            ""
        } else {
            "."
        };
        Self::exact(&format!("{{{dot}{path}}}"))
    }

    /// What the template makes of a value; what is not there is nothing.
    #[must_use]
    pub fn render(&self, value: &Value) -> String {
        let mut text = String::new();
        render(&self.0, value, &mut text, Form::Text);
        text
    }

    /// The same, each path as a JSON list of what it finds.
    #[must_use]
    pub fn render_as_json(&self, value: &Value) -> String {
        let mut text = String::new();
        render(&self.0, value, &mut text, Form::Json);
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

    /// A text without braces is taken for a path.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('{') {
            Self::exact(text)
        } else {
            Self::relaxed(text)
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
            ("{.items[*]['metadata.name','status.phase']}", "a b Running Pending"),
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
