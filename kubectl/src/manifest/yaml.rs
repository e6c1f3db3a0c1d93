//! The only file that knows YAML input: a text becomes parts, a part becomes JSON.

use serde::Deserialize as _;
use serde_json::{Map, Number, Value};

/// A document's text and the number of lines before it.
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) lines_before: usize,
}

impl Part<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'))
    }

    /// Whether it begins as JSON objects do.
    pub(super) fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    /// What it holds: one YAML value, or JSON values one after another.
    pub(super) fn values(&self) -> Vec<Result<Value, String>> {
        if !self.is_json() {
            return vec![self.value()];
        }
        let values: Vec<_> = serde_json::Deserializer::from_str(self.text).into_iter().collect();
        if values.iter().any(Result::is_err) {
            // A flow mapping, `{kind: Pod}`, begins like JSON.
            if let Ok(value) = self.value() {
                return vec![Ok(value)];
            }
        }
        values
            .into_iter()
            .map(|value| value.map_err(|error| error.to_string()))
            .collect()
    }

    fn value(&self) -> Result<Value, String> {
        let in_words = |error: &serde_yaml::Error| {
            let Some(location) = error.location() else {
                return error.to_string();
            };
            let what = error.to_string();
            // serde_yaml ends with the place inside the part; the user wants that inside the file.
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            format!("line {}: {what}", location.line() + self.lines_before)
        };
        let deserializer = serde_yaml::Deserializer::from_str(self.text);
        let mut yaml = serde_yaml::Value::deserialize(deserializer).map_err(|error| in_words(&error))?;
        yaml.apply_merge().map_err(|error| in_words(&error))?;
        to_json(yaml, "")
    }
}

/// Cuts at the lines that are `---`, as kubectl does, so that what follows a broken document can still be read.
pub(super) fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut lines_before, mut offset) = (0, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if let Some(rest) = marker {
            parts.push(Part {
                text: &text[start..offset],
                lines_before,
            });
            // What stands behind the marker belongs to the next document.
            let content = rest.trim_start_matches([' ', '\t']);
            start = offset + line.len() - content.len();
            lines_before = index;
        }
        offset += line.len();
    }
    parts.push(Part {
        text: &text[start..],
        lines_before,
    });
    parts
}

/// A whole text as one value: what is edited, patches, kubeconfigs.
///
/// # Errors
/// What is wrong and on which line.
pub fn one(text: &str) -> Result<Value, String> {
    Part { text, lines_before: 0 }.value()
}

/// JSON of a YAML value: keys become text, tags are dropped, and file modes may be octal as in YAML 1.1 (`0644`).
fn to_json(yaml: serde_yaml::Value, key: &str) -> Result<Value, String> {
    Ok(match yaml {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::Number(number) => number_to_json(&number, key)?,
        serde_yaml::Value::String(text) => octal_mode(key, &text).map_or(Value::String(text), Value::from),
        serde_yaml::Value::Sequence(items) => Value::Array(
            items
                .into_iter()
                .map(|item| to_json(item, ""))
                .collect::<Result<_, _>>()?,
        ),
        serde_yaml::Value::Mapping(pairs) => {
            let mut map = Map::new();
            for (name, value) in pairs {
                let name = key_text(name)?;
                // Text stays text where the user chooses the keys.
                let free = matches!(key, "data" | "stringData" | "annotations" | "labels");
                let value = to_json(value, if free { "" } else { &name })?;
                map.insert(name, value);
            }
            Value::Object(map)
        }
        serde_yaml::Value::Tagged(tagged) => to_json(tagged.value, key)?,
    })
}

fn number_to_json(number: &serde_yaml::Number, key: &str) -> Result<Value, String> {
    let json = number
        .as_i64()
        .map(Number::from)
        .or_else(|| number.as_u64().map(Number::from))
        .or_else(|| number.as_f64().and_then(Number::from_f64));
    json.map(Value::Number)
        .ok_or_else(|| format!("{key}: {number} is no number that JSON has"))
}

fn key_text(key: serde_yaml::Value) -> Result<String, String> {
    match key {
        serde_yaml::Value::String(text) => Ok(text),
        serde_yaml::Value::Number(number) => Ok(number.to_string()),
        serde_yaml::Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("a key must be text, not {other:?}")),
    }
}

/// `defaultMode: 0644` is octal in the YAML that Kubernetes reads, and text in today's.
fn octal_mode(key: &str, text: &str) -> Option<i64> {
    if !matches!(key, "mode" | "defaultMode") {
        return None;
    }
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'))?;
    i64::from_str_radix(digits, 8).ok()
}
