//! `get`: objects as the server's tables, or whole; once, or as they change.

use std::io::{self, IsTerminal as _, Write};

use clap::Args;
use futures::StreamExt as _;
use serde_json::Value;

use crate::cli::Global;
use crate::client::{AS_TABLE, Session};
use crate::commands::target::{self, Selectors, Target};
use crate::failure::{Failure, Several};
use crate::manifest;
use crate::print::jsonpath::Template;
use crate::print::output::{self, Output};
use crate::print::table::{Grid, Layout};

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
    /// How to show them: wide, name, yaml, json, jsonpath=TEMPLATE, custom-columns=NAME:PATH,...
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
    /// Show the labels in a column.
    #[arg(long)]
    show_labels: bool,
    /// Show these labels in columns of their own.
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Sort by a field: .metadata.creationTimestamp.
    #[arg(long, value_name = "JSONPATH")]
    sort_by: Option<Template>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
    /// Say nothing about objects that are not there.
    #[arg(long)]
    ignore_not_found: bool,
    /// How many objects to ask for at once.
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    chunk_size: u32,
}

impl Get {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let targets = self.targets(&session).await?;
        if targets.is_empty() {
            anyhow::bail!(
                "Required resource not specified: say what to get, such as `minikctl get pods`. `minikctl api-resources` lists the kinds."
            );
        }
        if self.watch || self.watch_only {
            let [target] = targets.as_slice() else {
                anyhow::bail!("you may only specify a single resource type with --watch");
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
            let resource = super::apply::place(session, &mut document).await?;
            targets.push(Target {
                resource,
                names: vec![document.text("/metadata/name").to_owned()],
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
            name_prefix: if several {
                target.resource.named("")
            } else {
                String::new()
            },
        }
    }

    async fn tables(&self, session: &Session, targets: &[Target]) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        let (mut errors, mut shown) = (Vec::new(), 0);
        for target in targets {
            let (tables, failures) = self.ask(session, target, AS_TABLE).await;
            errors.extend(failures);
            let Some(table) = one_table(tables) else { continue };
            let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
            let mut grid = Grid::of(&table, &columns, &self.layout(target, targets.len() > 1));
            if grid.rows.is_empty() {
                continue;
            }
            if let Some(template) = &self.sort_by {
                sort(&mut grid, &table, template);
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
            for answer in answers {
                objects.extend(items(answer, target));
            }
        }
        if let Some(template) = &self.sort_by {
            objects.sort_by(|a, b| order(&key(a, template), &key(b, template)));
        }
        let mut out = anstream::stdout().lock();
        if matches!(output, Output::Name) {
            for object in &objects {
                let of = |target: &&Target| target.resource.kind == object["kind"].as_str().unwrap_or_default();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if let Some(target) = targets.iter().find(of) {
                    writeln!(out, "{}", target.resource.named(name))?;
                }
            }
            return finish(errors);
        }
        let single = targets.len() == 1 && targets[0].names.len() == 1;
        let mut shown = match (single, objects.pop()) {
            (true, None) => return finish(errors),
            (true, Some(object)) => object,
            (false, last) => {
                objects.extend(last);
                output::list(objects)
            }
        };
        if !self.show_managed_fields {
            output::drop_managed_fields(&mut shown);
        }
        output.write(&mut out, &shown)?;
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
            let path = target.resource.object(&session.namespace, name);
            answers.extend(take(session.get_as(&path, accept).await));
        }
        if target.names.is_empty() {
            let collection = target.resource.collection(self.namespace(session));
            let limit = self.chunk_size.to_string();
            let mut next = String::new();
            loop {
                let mut page = if self.chunk_size == 0 {
                    vec![]
                } else {
                    vec![("limit", limit.as_str())]
                };
                if !next.is_empty() {
                    page.push(("continue", &next));
                }
                let path = format!("{collection}{}", self.selectors().query(&page));
                let Some(answer) = take(session.get_as(&path, accept).await) else {
                    break;
                };
                next = answer["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
                answers.push(answer);
                if next.is_empty() {
                    break;
                }
            }
        }
        (answers, errors)
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

    /// Shows what is there, then each change until the user has enough.
    async fn follow(&self, session: &Session, target: &Target) -> anyhow::Result<()> {
        let as_table = matches!(self.output, None | Some(Output::Wide));
        let accept = if as_table { AS_TABLE } else { "application/json" };
        let mut selectors = self.selectors();
        match target.names.as_slice() {
            [] => {}
            [name] => selectors.fields = Some(format!("metadata.name={name}")),
            _ => anyhow::bail!("you may only specify a single resource name with --watch"),
        }
        let collection = target.resource.collection(self.namespace(session));
        let list = session
            .get_as(&format!("{collection}{}", selectors.query(&[])), accept)
            .await?;
        let mut version = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut screen = Screen {
            get: self,
            layout: self.layout(target, false),
            columns: Vec::new(),
            widths: Vec::new(),
        };
        if !self.watch_only {
            if let [name] = target.names.as_slice()
                && is_empty(&list)
            {
                // Asked by its name, an object that is not there is an error.
                session.get(&target.resource.object(&session.namespace, name)).await?;
            }
            screen.show(&list, target, "ADDED")?;
        }
        loop {
            let query = selectors.query(&[("watch", "true"), ("resourceVersion", &version)]);
            let mut events = Box::pin(session.follow(&format!("{collection}{query}"), accept).await?);
            while let Some(event) = events.next().await {
                let event = event?;
                let object = &event["object"];
                if event["type"] == "ERROR" {
                    let status = serde_json::from_value(object.clone()).unwrap_or_default();
                    return Err(Failure::Api(Box::new(status)).into());
                }
                if let Some(newer) = version_of(object) {
                    version = newer;
                }
                if event["type"] != "BOOKMARK" {
                    screen.show(object, target, event["type"].as_str().unwrap_or_default())?;
                }
            }
        }
    }
}

/// What a watch has shown so far, so that what follows stands below it.
struct Screen<'a> {
    get: &'a Get,
    layout: Layout,
    columns: Vec<Value>,
    widths: Vec<usize>,
}

impl Screen<'_> {
    fn show(&mut self, object: &Value, target: &Target, event: &str) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        match &self.get.output {
            None | Some(Output::Wide) => {
                if let Some(columns) = object["columnDefinitions"]
                    .as_array()
                    .filter(|columns| !columns.is_empty())
                {
                    self.columns.clone_from(columns);
                }
                let mut grid = Grid::of(object, &self.columns, &self.layout);
                if self.get.output_watch_events {
                    grid.rows.iter_mut().for_each(|row| row.insert(0, event.to_owned()));
                    if !grid.head.is_empty() {
                        grid.head.insert(0, "EVENT".to_owned());
                    }
                }
                if grid.rows.is_empty() {
                    return Ok(());
                }
                grid.write(&mut out, &self.widths, terminal_columns())?;
                for (column, width) in grid.widths().into_iter().enumerate() {
                    match self.widths.get_mut(column) {
                        Some(known) => *known = width.max(*known),
                        None => self.widths.push(width),
                    }
                }
                self.layout.no_headers = true;
            }
            Some(output) => {
                for mut object in items(object.clone(), target) {
                    if !self.get.show_managed_fields {
                        output::drop_managed_fields(&mut object);
                    }
                    if matches!(output, Output::Name) {
                        let name = object["metadata"]["name"].as_str().unwrap_or_default();
                        writeln!(out, "{}", target.resource.named(name))?;
                        continue;
                    }
                    if matches!(output, Output::Yaml) {
                        writeln!(out, "---")?;
                    }
                    output.write(&mut out, &object)?;
                }
            }
        }
        out.flush()?;
        Ok(())
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

/// The objects of an answer, each with its kind, which lists leave out.
fn items(answer: Value, target: &Target) -> Vec<Value> {
    let Value::Object(mut map) = answer else {
        return Vec::new();
    };
    let Some(Value::Array(mut items)) = map.remove("items") else {
        return vec![Value::Object(map)];
    };
    for item in &mut items {
        item["apiVersion"] = Value::from(target.resource.api_version());
        item["kind"] = Value::from(target.resource.kind.as_str());
    }
    items
}

fn is_empty(list: &Value) -> bool {
    ["rows", "items"]
        .iter()
        .all(|field| list[*field].as_array().is_none_or(Vec::is_empty))
}

/// The version of a watched object, or of the row of a table.
fn version_of(object: &Value) -> Option<String> {
    let of = |object: &Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .filter(|v| !v.is_empty())
            .map(str::to_owned)
    };
    of(&object["rows"][0]["object"]).or_else(|| of(object))
}

/// A sort key: what the template finds first.
fn key(object: &Value, template: &Template) -> Value {
    template
        .find(object)
        .first()
        .map_or(Value::Null, |found| (*found).clone())
}

fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
    }
}

fn sort(grid: &mut Grid, table: &Value, template: &Template) {
    let rows = std::mem::take(&mut grid.rows);
    let keys = table["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| key(&row["object"], template));
    let mut pairs: Vec<(Value, Vec<String>)> = keys.zip(rows).collect();
    pairs.sort_by(|(a, _), (b, _)| order(a, b));
    grid.rows = pairs.into_iter().map(|(_, row)| row).collect();
}

/// The terminal's width, where there is one.
pub fn terminal_columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

fn finish(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Several(errors).into()),
    }
}
