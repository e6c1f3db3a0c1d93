//! The page that a description is written on: `Label:  value` lines in columns, nested by two spaces.
//!
//! Columns are aligned in the end, over each run of lines that have them, as Go's tabwriter does it for kubectl: cells are
//! ended by tabs, are at least two apart, and a line without a tab ends the run.

use jiff::Timestamp;
use serde_json::Value;

use crate::print::age;

/// Lines, with tabs between their cells until the end.
pub struct Sheet {
    text: String,
    /// The time that ages are counted to.
    pub now: Timestamp,
}

impl Sheet {
    pub fn new(now: Timestamp) -> Self {
        Self {
            text: String::new(),
            now,
        }
    }

    /// A line, nested; tabs separate cells.
    pub fn line(&mut self, depth: usize, text: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// `Label:  value`.
    pub fn field(&mut self, depth: usize, label: &str, value: &str) {
        self.line(depth, &format!("{label}:\t{value}"));
    }

    /// The same, if there is a value.
    pub fn field_if(&mut self, depth: usize, label: &str, value: &Value) {
        let value = plain(value);
        if !value.is_empty() {
            self.field(depth, label, &value);
        }
    }

    /// A map, one pair a line, the first beside its label; `<none>` when it is empty.
    pub fn map(&mut self, label: &str, map: &Value, hidden: &[&str]) {
        let pairs = map
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !hidden.contains(&name.as_str()));
        let mut label = format!("{label}:");
        let mut any = false;
        for (name, value) in pairs {
            let value = plain(value);
            self.line(
                0,
                &format!("{label}\t{name}{}{value}", if hidden.is_empty() { "=" } else { ": " }),
            );
            label.clear();
            any = true;
        }
        if !any {
            self.line(0, &format!("{label}\t<none>"));
        }
    }

    /// Name, namespace, labels and annotations.
    pub fn metadata(&mut self, object: &Value, with_namespace: bool) {
        let metadata = &object["metadata"];
        self.field(0, "Name", &plain(&metadata["name"]));
        if with_namespace {
            self.field(0, "Namespace", &plain(&metadata["namespace"]));
        }
    }

    pub fn labels_and_annotations(&mut self, object: &Value) {
        self.map("Labels", &object["metadata"]["labels"], &[]);
        self.map(
            "Annotations",
            &object["metadata"]["annotations"],
            &[crate::apply::LAST_APPLIED],
        );
    }

    /// A table whose head is underlined.
    pub fn table(&mut self, depth: usize, head: &[&str], rows: &[Vec<String>]) {
        self.line(depth, &head.join("\t"));
        let rules: Vec<String> = head.iter().map(|title| "-".repeat(title.len())).collect();
        self.line(depth, &rules.join("\t"));
        for row in rows {
            self.line(depth, &row.join("\t"));
        }
    }

    /// What happened to the object.
    pub fn events(&mut self, events: &[Value]) {
        if events.is_empty() {
            self.field(0, "Events", "<none>");
            return;
        }
        self.line(0, "Events:");
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|event| {
                let or = |first: &Value, second: &Value| if first.is_null() { plain(second) } else { plain(first) };
                let reporter = or(&event["source"]["component"], &event["reportingComponent"]);
                let message = plain(&event["message"]);
                vec![
                    plain(&event["type"]),
                    plain(&event["reason"]),
                    event_age(event, self.now),
                    reporter,
                    message.trim().to_owned(),
                ]
            })
            .collect();
        self.line(1, "Type\tReason\tAge\tFrom\tMessage");
        self.line(1, "----\t------\t----\t----\t-------");
        for row in &rows {
            self.line(1, &row.join("\t"));
        }
    }

    /// The text with its columns aligned.
    pub fn finish(self) -> String {
        let lines: Vec<Vec<&str>> = self.text.lines().map(|line| line.split('\t').collect()).collect();
        let mut widths: Vec<Vec<usize>> = lines
            .iter()
            .map(|cells| vec![0; cells.len().saturating_sub(1)])
            .collect();
        let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
        for column in 0..columns {
            let mut start = 0;
            while start < lines.len() {
                // A run: consecutive lines that have a tab-ended cell in this column.
                let end = (start..lines.len())
                    .find(|&at| widths[at].len() <= column)
                    .unwrap_or(lines.len());
                let widest = (start..end)
                    .map(|at| lines[at][column].chars().count())
                    .max()
                    .unwrap_or(0);
                for width in &mut widths[start..end] {
                    width[column] = widest + 2;
                }
                start = end + 1;
            }
        }
        let mut text = String::with_capacity(self.text.len() * 2);
        for (cells, widths) in lines.iter().zip(&widths) {
            let mut line = String::new();
            for (index, cell) in cells.iter().enumerate() {
                line.push_str(cell);
                if let Some(width) = widths.get(index) {
                    line.push_str(&" ".repeat(width - cell.chars().count()));
                }
            }
            // What stands behind the last cell stays, as kubectl's tabwriter leaves it.
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// `5s`, or `5s (x3 over 2m)` for what happened more than once.
fn event_age(event: &Value, now: Timestamp) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let first = text(&event["firstTimestamp"])
        .or_else(|| text(&event["eventTime"]))
        .unwrap_or_default();
    let series = &event["series"];
    let last = text(&series["lastObservedTime"])
        .or_else(|| text(&event["lastTimestamp"]))
        .unwrap_or_else(|| first.clone());
    let count = series["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1);
    let last = age::since(&last, now);
    if count > 1 {
        format!("{last} (x{count} over {})", age::since(&first, now))
    } else {
        last
    }
}

/// A value as text: nothing for null.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The value, or what stands for none.
pub fn or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise)
}

/// The items of a list, or none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A time as kubectl writes it: `Sat, 21 Nov 2026 08:00:00 +0000`.
pub fn date(value: &Value) -> String {
    match value.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(time)) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        _ => "<unknown>".to_owned(),
    }
}

/// `True`, not `true`, as Go's kubectl writes it in descriptions.
pub fn capital(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}
