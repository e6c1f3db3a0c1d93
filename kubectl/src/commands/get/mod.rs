//! `get`: objects as the server's tables, or whole; once, or as they change.

mod follow;
mod sort;

use std::io::{self, IsTerminal as _, Write};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::{AS_TABLE, Session};
use crate::commands::objects::{finish, items, place};
use crate::commands::target::{self, Selectors, Target, query};
use crate::failure::Failure;
use crate::manifest;
use crate::print::age;
use crate::print::output::{self, Output};
use crate::print::table::{Grid, Layout};
use sort::Sorting;

/// Arguments of `get`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl get pods
  minikctl get pods,services -o wide
  minikctl get pod/nginx -o yaml
  minikctl get pods -A -w
  minikctl get pod nginx -o jsonpath='{.status.podIP}'")]
pub struct Get {
    /// What to show: pods, pod nginx, pod/nginx, pods,services.
    #[arg(value_name = "KIND [NAME ...]")]
    what: Vec<String>,
    /// Show the objects that a file names.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "what")]
    filename: Vec<String>,
    /// Read folders with what is below them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// How to show them: wide, name, yaml, kyaml, json, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE, jsonpath-file=FILE,
    /// custom-columns=NAME:PATH,..., custom-columns-file=FILE.
    #[arg(short, long)]
    output: Option<Output>,
    /// Go on showing what changes.
    #[arg(short, long)]
    watch: bool,
    /// Show only what changes from now on.
    #[arg(long)]
    watch_only: bool,
    /// Say what happened to each: ADDED, MODIFIED, DELETED (with -w).
    #[arg(long)]
    output_watch_events: bool,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels: app=web,tier!=db.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields: status.phase=Running.
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Show the kind before each name.
    #[arg(long)]
    show_kind: bool,
    /// Show a part of the object that has a path of its own: status, scale, resize.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Show what the server answers at a path: /healthz.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["what", "filename"])]
    raw: Option<String>,
    /// Show the labels in a column.
    #[arg(long)]
    show_labels: bool,
    /// Show these labels in columns of their own.
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Sort by a field: .metadata.creationTimestamp.
    #[arg(long, value_name = "JSONPATH")]
    sort_by: Option<Sorting>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
    /// Say nothing about objects that are not there.
    #[arg(long)]
    ignore_not_found: bool,
    /// Whether the server says what the columns are; without it there are the name and the age.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true)]
    server_print: bool,
    /// How many objects to ask for at once.
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    chunk_size: u32,
}

impl Get {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        if let Some(path) = &self.raw {
            let text = session.raw(path).await?;
            anstream::stdout().write_all(&text)?;
            return Ok(());
        }
        let targets = self.targets(&session).await?;
        if targets.is_empty() {
            anyhow::bail!(
                "Required resource not specified: say what to get, such as `minikctl get pods`. `minikctl api-resources` lists the kinds."
            );
        }
        if self.all_namespaces && targets.iter().any(|target| !target.names.is_empty()) && self.filename.is_empty() {
            anyhow::bail!("a resource cannot be retrieved by name across all namespaces");
        }
        let selects = self.selector.is_some() || self.field_selector.is_some();
        if selects && targets.iter().any(|target| !target.names.is_empty()) {
            anyhow::bail!("name cannot be provided when a selector is specified");
        }
        if self.watch || self.watch_only {
            let [target] = targets.as_slice() else {
                anyhow::bail!("you may only specify a single resource type");
            };
            return self.follow(&session, target).await;
        }
        match &self.output {
            None | Some(Output::Wide) => self.tables(&session, &targets).await,
            Some(output) => self.objects(&session, &targets, output).await,
        }
    }

    async fn targets(&self, session: &Session) -> anyhow::Result<Vec<Target>> {
        if self.filename.is_empty() {
            return target::resolve(session, &self.what).await;
        }
        let mut targets = Vec::new();
        for document in manifest::read(&self.filename, self.recursive).await {
            let mut document = document?;
            let resource = place(session, &mut document).await?;
            targets.push(Target {
                resource,
                names: vec![document.text("/metadata/name").to_owned()],
                namespace: Some(document.text("/metadata/namespace").to_owned()),
            });
        }
        Ok(targets)
    }

    fn selectors(&self) -> Selectors {
        Selectors {
            labels: self.selector.clone(),
            fields: self.field_selector.clone(),
        }
    }

    fn layout(&self, target: &Target, several: bool) -> Layout {
        Layout {
            wide: matches!(self.output, Some(Output::Wide)),
            with_namespace: self.all_namespaces && target.resource.namespaced,
            show_labels: self.show_labels,
            label_columns: self.label_columns.clone(),
            no_headers: self.no_headers,
            name_prefix: if several || self.show_kind {
                target.resource.named("")
            } else {
                String::new()
            },
        }
    }

    async fn tables(&self, session: &Session, targets: &[Target]) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        let (mut errors, mut shown) = (Vec::new(), 0);
        let several = targets.iter().any(|target| target.resource != targets[0].resource);
        for target in targets {
            let (tables, failures) = self.ask(session, target, self.accept()).await;
            errors.extend(failures);
            let Some(mut table) = one_table(tables.into_iter().map(|table| self.table(table)).collect()) else {
                continue;
            };
            if let (Some(sorting), Some(rows)) = (&self.sort_by, table["rows"].as_array_mut()) {
                sorting.sort(rows, |row| &row["object"])?;
            }
            let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
            let grid = Grid::of(&table, &columns, &self.layout(target, several));
            if grid.rows.is_empty() {
                continue;
            }
            if shown > 0 {
                writeln!(out)?;
            }
            grid.write(&mut out, &[], terminal_columns())?;
            shown += 1;
        }
        out.flush()?;
        if shown == 0 && errors.is_empty() && !self.ignore_not_found {
            self.nothing_found(session, targets)?;
        }
        finish(errors)
    }

    async fn objects(&self, session: &Session, targets: &[Target], output: &Output) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        let mut errors = Vec::new();
        for target in targets {
            let (answers, failures) = self.ask(session, target, "application/json").await;
            errors.extend(failures);
            let found = answers.into_iter().flat_map(|answer| items(answer, &target.resource));
            objects.extend(found.map(|object| (&target.resource, object)));
        }
        if let Some(sorting) = &self.sort_by {
            sorting.sort(&mut objects, |(_, object)| object)?;
        }
        let mut out = anstream::stdout().lock();
        if matches!(output, Output::Name) {
            for (resource, object) in &objects {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                writeln!(out, "{}", resource.named(name))?;
            }
            return finish(errors);
        }
        let mut objects: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
        let single = targets.len() == 1 && targets[0].names.len() == 1;
        let mut shown = match (single, objects.pop()) {
            (true, None) => return finish(errors),
            (true, Some(object)) => object,
            // What was asked for by name and is not there: the errors say all.
            (false, None) if !errors.is_empty() => return finish(errors),
            (false, None) if self.ignore_not_found && targets.iter().all(|target| !target.names.is_empty()) => {
                return Ok(());
            }
            (false, last) => {
                objects.extend(last);
                output::list(objects)
            }
        };
        if !self.show_managed_fields {
            output::drop_managed_fields(&mut shown);
        }
        output.write_with(&mut out, &shown, !self.no_headers)?;
        out.flush()?;
        finish(errors)
    }

    /// The server's answers for a target: one for each name, or one for each page of the list.
    async fn ask(&self, session: &Session, target: &Target, accept: &str) -> (Vec<Value>, Vec<anyhow::Error>) {
        let (mut answers, mut errors) = (Vec::new(), Vec::new());
        let mut take = |answer: Result<Value, Failure>| match answer {
            Ok(answer) => Some(answer),
            Err(failure) if failure.is_not_found() && self.ignore_not_found => None,
            Err(failure) => {
                errors.push(anyhow::Error::from(failure));
                None
            }
        };
        for name in &target.names {
            let namespace = target.namespace.as_deref().unwrap_or(&session.namespace);
            let path = self.below(target.resource.object(namespace, name));
            let whole = query(&self.whole_rows());
            answers.extend(take(session.get_as(&format!("{path}{whole}"), accept).await));
        }
        if target.names.is_empty() {
            let collection = target.resource.collection(self.namespace(session));
            let (selectors, rows) = (self.selectors(), self.whole_rows());
            let (pages, ended) = target::pages(session, &collection, &selectors, self.chunk_size, accept, &rows).await;
            take(ended.map(|()| Value::Null));
            answers.extend(pages);
        }
        (answers, errors)
    }

    /// In which form tables are asked for.
    fn accept(&self) -> &'static str {
        if self.server_print {
            AS_TABLE
        } else {
            "application/json"
        }
    }

    /// The server's table, or ours of what it sent instead.
    fn table(&self, answer: Value) -> Value {
        if self.server_print {
            answer
        } else {
            plain_table(&answer, Timestamp::now())
        }
    }

    /// Sorting rows by what is in their objects needs the objects, which the server leaves out otherwise.
    fn whole_rows(&self) -> Vec<(&'static str, &'static str)> {
        let sorts_rows = self.sort_by.is_some() && matches!(self.output, None | Some(Output::Wide));
        if sorts_rows {
            vec![("includeObject", "Object")]
        } else {
            Vec::new()
        }
    }

    fn below(&self, path: String) -> String {
        match &self.subresource {
            Some(subresource) => format!("{path}/{subresource}"),
            None => path,
        }
    }

    fn namespace<'s>(&self, session: &'s Session) -> Option<&'s str> {
        (!self.all_namespaces).then_some(session.namespace.as_str())
    }

    fn nothing_found(&self, session: &Session, targets: &[Target]) -> io::Result<()> {
        let mut stderr = anstream::stderr();
        match self
            .namespace(session)
            .filter(|_| targets.iter().any(|target| target.resource.namespaced))
        {
            Some(namespace) => writeln!(stderr, "No resources found in {namespace} namespace."),
            None => writeln!(stderr, "No resources found"),
        }
    }
}

/// The rows of several answers under the columns of the first.
fn one_table(tables: Vec<Value>) -> Option<Value> {
    let mut tables = tables.into_iter();
    let mut first = tables.next()?;
    for mut table in tables {
        let more = table["rows"].take();
        if let (Some(rows), Value::Array(more)) = (first["rows"].as_array_mut(), more) {
            rows.extend(more);
        }
    }
    Some(first)
}

/// A table of names and ages, of an object or a list. Pure.
fn plain_table(answer: &Value, now: Timestamp) -> Value {
    let one = std::slice::from_ref(answer);
    let objects = answer["items"].as_array().map_or(one, Vec::as_slice);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let metadata = &object["metadata"];
            let created = metadata["creationTimestamp"].as_str();
            let age = created.map_or("<unknown>".to_owned(), |created| age::since(created, now));
            json!({"cells": [metadata["name"], age], "object": object})
        })
        .collect();
    json!({
        "metadata": answer["metadata"],
        "columnDefinitions": [{"name": "Name", "format": "name"}, {"name": "Age"}],
        "rows": rows,
    })
}

/// The terminal's width, where there is one.
pub fn terminal_columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_our_own_has_names_and_ages() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:30Z"}});
        let table = plain_table(
            &json!({"items": [object, {"metadata": {"name": "b"}}], "metadata": {}}),
            now,
        );
        assert_eq!(table["rows"][0]["cells"], json!(["a", "30s"]));
        assert_eq!(table["rows"][1]["cells"], json!(["b", "<unknown>"]));
        assert_eq!(plain_table(&object, now)["rows"][0]["object"], object);
    }
}
