//! `get --watch`: what is there, then each change below it.

use std::io::Write as _;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Get, terminal_columns};
use crate::client::Session;
use crate::commands::objects::items;
use crate::commands::target::Target;
use crate::failure::Failure;
use crate::print::output::{self, Output};
use crate::print::table::{Grid, Layout};

impl Get {
    /// Shows what is there, then each change until the user has enough.
    pub(super) async fn follow(&self, session: &Session, target: &Target) -> anyhow::Result<()> {
        let as_table = matches!(self.output, None | Some(Output::Wide));
        let accept = if as_table { self.accept() } else { "application/json" };
        let seen = |answer: Value| if as_table { self.table(answer) } else { answer };
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
        let list = seen(list);
        let mut version = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut screen = Screen {
            get: self,
            layout: self.layout(target, false),
            columns: Vec::new(),
            // Room for the longest word, whichever comes first.
            widths: self
                .output_watch_events
                .then_some("MODIFIED".len())
                .into_iter()
                .collect(),
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
                let mut event = event?;
                if event["type"] == "ERROR" {
                    let status = serde_json::from_value(event["object"].take()).unwrap_or_default();
                    return Err(Failure::Api(Box::new(status)).into());
                }
                let object = &seen(event["object"].take());
                if let Some(newer) = version_of(object) {
                    version = newer;
                }
                if event["type"] != "BOOKMARK" {
                    screen.show(object, target, event["type"].as_str().unwrap_or_default())?;
                }
            }
            if session.has_timeout() {
                return Ok(());
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
                for mut object in items(object.clone(), &target.resource) {
                    if !self.get.show_managed_fields {
                        output::drop_managed_fields(&mut object);
                    }
                    let is_whole = matches!(output, Output::Json | Output::Yaml | Output::Kyaml);
                    if self.get.output_watch_events && is_whole {
                        object = json!({"type": event, "object": object});
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
