//! Tables: the server says what the columns are (`meta.k8s.io/v1 Table`), this prints them as kubectl does.

use std::io::{self, Write};

use serde_json::Value;

use super::style;

/// How a table is to be printed.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Also the columns that the server calls less important.
    pub wide: bool,
    /// A NAMESPACE column in front.
    pub with_namespace: bool,
    /// A LABELS column at the end.
    pub show_labels: bool,
    /// A column for each of these labels.
    pub label_columns: Vec<String>,
    /// Rows only.
    pub no_headers: bool,
    /// Written before each name: `pod/`.
    pub name_prefix: String,
}

/// Columns and rows, all text, ready to be printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// The headings; empty when they are not shown.
    pub head: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// The grid of a server's table. An event of a watch has columns only in its first table: the caller keeps them.
    #[must_use]
    pub fn of(table: &Value, columns: &[Value], layout: &Layout) -> Self {
        let shown: Vec<usize> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| layout.wide || column["priority"].as_i64().unwrap_or(0) == 0)
            .map(|(index, _)| index)
            .collect();
        let name = columns
            .iter()
            .position(|column| column["format"] == "name")
            .unwrap_or(0);
        let mut head: Vec<String> = Vec::new();
        if !layout.no_headers {
            head.extend(layout.with_namespace.then(|| "NAMESPACE".to_owned()));
            head.extend(shown.iter().map(|index| text(&columns[*index]["name"]).to_uppercase()));
            head.extend(layout.label_columns.iter().map(|label| label_heading(label)));
            head.extend(layout.show_labels.then(|| "LABELS".to_owned()));
        }
        let rows = table["rows"].as_array().into_iter().flatten();
        let rows = rows.map(|row| {
            let metadata = &row["object"]["metadata"];
            let label = |label: &String| {
                metadata["labels"][label.as_str()]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            let mut cells: Vec<String> = Vec::new();
            cells.extend(layout.with_namespace.then(|| text(&metadata["namespace"])));
            cells.extend(shown.iter().map(|index| {
                let cell = cell(&row["cells"][*index]);
                if *index == name {
                    format!("{}{cell}", layout.name_prefix)
                } else {
                    cell
                }
            }));
            cells.extend(layout.label_columns.iter().map(label));
            cells.extend(layout.show_labels.then(|| labels(&metadata["labels"])));
            cells
        });
        Self {
            rows: rows.collect(),
            head,
        }
    }

    /// The width of each column.
    #[must_use]
    pub fn widths(&self) -> Vec<usize> {
        let lines = || self.rows.iter().chain(std::iter::once(&self.head));
        let columns = lines().map(Vec::len).max().unwrap_or(0);
        (0..columns)
            .map(|column| {
                lines()
                    .filter_map(|line| line.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }

    /// Writes it, with columns at least as wide as `widths` (a watch goes on under an earlier table). On a terminal of
    /// `terminal_columns` no line is longer than that.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, out: &mut impl Write, widths: &[usize], terminal_columns: Option<usize>) -> io::Result<()> {
        // Go's tabwriter as kubectl sets it up: cells are three apart and, with that, at least six wide.
        const GAP: usize = 3;
        let own = self.widths();
        let width = |column: usize| own[column].max(widths.get(column).copied().unwrap_or(0));
        if !self.head.is_empty() {
            let line = self.line(&self.head, GAP, &width, terminal_columns);
            writeln!(out, "{}{line}{}", style::STRONG.render(), style::STRONG.render_reset())?;
        }
        for row in &self.rows {
            let plain = self.line(row, GAP, &width, terminal_columns);
            let coloured = row
                .iter()
                .find_map(|cell| style::of_status(cell).map(|style| (cell, style)));
            match coloured {
                Some((word, style)) => {
                    let painted = format!("{}{word}{}", style.render(), style.render_reset());
                    writeln!(out, "{}", replace_word(&plain, word, &painted))?;
                }
                None => writeln!(out, "{plain}")?,
            }
        }
        Ok(())
    }

    fn line(&self, cells: &[String], gap: usize, width: &impl Fn(usize) -> usize, limit: Option<usize>) -> String {
        let mut line = String::new();
        let last = cells.len().saturating_sub(1);
        for (column, cell) in cells.iter().enumerate() {
            line.push_str(cell);
            if column != last {
                let missing = (width(column) + gap).max(6).saturating_sub(cell.chars().count());
                line.push_str(&" ".repeat(missing));
            }
        }
        match limit {
            Some(limit) if line.chars().count() > limit && limit > 1 => {
                let mut cut: String = line.chars().take(limit - 1).collect();
                cut.truncate(cut.trim_end().len());
                cut.push('…');
                cut
            }
            _ => line,
        }
    }
}

/// A cell as text: what Go prints for it.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.replace('\n', "\\n"),
        Value::Array(items) => format!("[{}]", items.iter().map(cell).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

/// `a=1,b=2`, or `<none>`.
#[must_use]
pub fn labels(labels: &Value) -> String {
    match labels.as_object().filter(|labels| !labels.is_empty()) {
        None => "<none>".to_owned(),
        Some(labels) => {
            let mut pairs: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}={}", text(value)))
                .collect();
            pairs.sort();
            pairs.join(",")
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `app.kubernetes.io/name` is headed NAME.
fn label_heading(label: &str) -> String {
    label.rsplit('/').next().unwrap_or(label).to_uppercase()
}

/// The first `word` that stands alone in a line.
fn replace_word(line: &str, word: &str, by: &str) -> String {
    let mut from = 0;
    while let Some(at) = line[from..].find(word).map(|at| at + from) {
        let end = at + word.len();
        let alone = (at == 0 || line[..at].ends_with(' ')) && (end == line.len() || line[end..].starts_with(' '));
        if alone {
            return format!("{}{by}{}", &line[..at], &line[end..]);
        }
        from = end;
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Value {
        json!({"kind": "Table",
            "columnDefinitions": [
                {"name": "Name", "format": "name", "priority": 0}, {"name": "Status", "priority": 0},
                {"name": "Age", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [
                {"cells": ["nginx", "Running", "5s", "10.0.0.2"], "object": {"metadata": {"namespace": "default", "labels": {"b": "2", "a/x": "1"}}}},
                {"cells": ["py", "Pending", "12m", null], "object": {"metadata": {"namespace": "default"}}}]})
    }

    fn printed(layout: &Layout, terminal: Option<usize>) -> String {
        let table = table();
        let columns = table["columnDefinitions"].as_array().expect("has columns").clone();
        let grid = Grid::of(&table, &columns, layout);
        let mut out = anstream::StripStream::new(Vec::new());
        grid.write(&mut out, &[], terminal).expect("a vector takes everything");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn columns_stand_three_apart() {
        assert_eq!(
            printed(&Layout::default(), None),
            "NAME    STATUS    AGE\nnginx   Running   5s\npy      Pending   12m\n"
        );
    }

    #[test]
    fn options_add_columns() {
        let layout = Layout {
            wide: true,
            with_namespace: true,
            show_labels: true,
            label_columns: vec!["a/x".to_owned()],
            no_headers: true,
            name_prefix: "pod/".to_owned(),
        };
        assert_eq!(
            printed(&layout, None),
            "default   pod/nginx   Running   5s    10.0.0.2   1     a/x=1,b=2\n\
             default   pod/py      Pending   12m   <none>           <none>\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_lines() {
        assert!(
            printed(&Layout::default(), Some(12))
                .lines()
                .all(|line| line.chars().count() <= 12)
        );
    }

    #[test]
    fn only_whole_words_are_painted() {
        assert_eq!(
            replace_word("Running-x   Running   1", "Running", "*"),
            "Running-x   *   1"
        );
    }
}
