//! `events`: what happened, oldest first, and what happens from now on.

use std::io::Write as _;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::target::query;
use crate::failure::Failure;
use crate::print::age;
use crate::print::output::{self, Output};
use crate::print::table::Grid;

/// Arguments of `events`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl events
  minikctl events --for pod/nginx --watch
  minikctl events -A --types=Warning")]
pub struct Events {
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what happened to this object: pod/nginx.
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,
    /// Only these types: Normal, Warning.
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    types: Vec<String>,
    /// Go on with what happens.
    #[arg(short, long)]
    watch: bool,
    /// How many events are asked for at once.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    chunk_size: u32,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// How to show them: yaml, json, ...
    #[arg(short, long)]
    output: Option<Output>,
}

impl Events {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let known = |kind: &String| kind.eq_ignore_ascii_case("Normal") || kind.eq_ignore_ascii_case("Warning");
        if !self.types.iter().all(known) {
            bail!("valid --types are Normal or Warning");
        }
        let session = Session::open(global).await?;
        let events = session.called("events").await?.remove(0);
        let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
        let collection = events.collection(namespace);
        let fields = self.fields(&session).await?;
        let limit = self.chunk_size.to_string();
        let (mut found, mut token, mut version) = (Vec::new(), String::new(), String::new());
        loop {
            let mut parameters = vec![("limit", limit.as_str())];
            if !fields.is_empty() {
                parameters.push(("fieldSelector", &fields));
            }
            if !token.is_empty() {
                parameters.push(("continue", &token));
            }
            let mut list = session.get(&format!("{collection}{}", query(&parameters))).await?;
            if let Value::Array(items) = list["items"].take() {
                found.extend(items.into_iter().filter(|event| self.wants(event)));
            }
            let text = |field: &str| list["metadata"][field].as_str().unwrap_or_default().to_owned();
            (token, version) = (
                text("continue"),
                if version.is_empty() {
                    text("resourceVersion")
                } else {
                    version
                },
            );
            if token.is_empty() {
                break;
            }
        }
        found.sort_by_key(last_seen);
        if !self.watch && found.is_empty() && self.output.is_none() {
            let place = namespace.map_or_else(String::new, |namespace| format!(" in {namespace} namespace"));
            writeln!(anstream::stderr(), "No events found{place}.")?;
            return Ok(());
        }
        self.show(found, !self.no_headers)?;
        if self.watch {
            let mut parameters = vec![("resourceVersion", version.as_str()), ("watch", "true")];
            if !fields.is_empty() {
                parameters.push(("fieldSelector", &fields));
            }
            self.follow(&session, &format!("{collection}{}", query(&parameters)))
                .await?;
        }
        Ok(())
    }

    /// The field selector that `--for` means.
    async fn fields(&self, session: &Session) -> anyhow::Result<String> {
        let Some(about) = &self.about else {
            return Ok(String::new());
        };
        let (kind, name) = about
            .split_once('/')
            .filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
            .ok_or_else(|| anyhow!("--for must be in resource/name form"))?;
        let resource = session.called(kind).await?.remove(0);
        Ok(format!(
            "involvedObject.kind={},involvedObject.name={name}",
            resource.kind
        ))
    }

    fn wants(&self, event: &Value) -> bool {
        let kind = event["type"].as_str().unwrap_or_default();
        self.types.is_empty() || self.types.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
    }

    async fn follow(&self, session: &Session, path: &str) -> anyhow::Result<()> {
        let mut events = Box::pin(session.follow(path, "application/json").await?);
        while let Some(event) = events.next().await {
            let mut event = event?;
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") if self.wants(&event["object"]) => {
                    self.show(vec![event["object"].take()], false)?;
                }
                Some("ERROR") => {
                    return Err(Failure::Api(Box::new(serde_json::from_value(event["object"].take())?)).into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn show(&self, mut events: Vec<Value>, with_head: bool) -> anyhow::Result<()> {
        let mut out = anstream::stdout();
        if let Some(output) = &self.output {
            for event in &mut events {
                event["apiVersion"] = json!("v1");
                event["kind"] = json!("Event");
                output::drop_managed_fields(event);
            }
            let shown = match events.len() {
                1 => events.remove(0),
                _ => output::list(events),
            };
            return Ok(output.write(&mut out, &shown)?);
        }
        let now = Timestamp::now();
        let grid = Grid {
            head: if with_head {
                head(self.all_namespaces)
            } else {
                Vec::new()
            },
            rows: events
                .iter()
                .map(|event| row(event, self.all_namespaces, now))
                .collect(),
        };
        Ok(grid.write(&mut out, &[], None)?)
    }
}

fn head(with_namespace: bool) -> Vec<String> {
    let names = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    let namespace = with_namespace.then_some("NAMESPACE").into_iter();
    namespace.chain(names).map(str::to_owned).collect()
}

/// One event's cells. Pure.
fn row(event: &Value, with_namespace: bool, now: Timestamp) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unknown = || "<unknown>".to_owned();
    let since =
        |time: Option<Timestamp>| time.map_or_else(unknown, |time| age::human(now.as_second() - time.as_second()));
    let seen = since(last_seen(event));
    let (series, count) = (&event["series"], event["count"].as_i64().unwrap_or(0));
    let first = first_seen(event);
    let interval = if let Some(count) = series["count"].as_i64() {
        format!("{seen} (x{count} over {})", since(first))
    } else if count > 1 {
        format!("{seen} (x{count} over {})", since(first))
    } else {
        seen
    };
    let object = &event["involvedObject"];
    let mut cells = Vec::new();
    cells.extend(with_namespace.then(|| text(&event["metadata"]["namespace"])));
    cells.extend([
        interval,
        text(&event["type"]),
        text(&event["reason"]),
        format!("{}/{}", text(&object["kind"]), text(&object["name"])),
        text(&event["message"]).trim().to_owned(),
    ]);
    cells
}

/// When an event happened last: the one field of several that is set.
fn last_seen(event: &Value) -> Option<Timestamp> {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.iter().find_map(|time| time.as_str()?.parse().ok())
}

fn first_seen(event: &Value) -> Option<Timestamp> {
    let times = [&event["firstTimestamp"], &event["eventTime"]];
    times.iter().find_map(|time| time.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kubectls() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a time");
        let mut event = json!({"metadata": {"namespace": "d"}, "type": "Normal", "reason": "Pulled", "message": "x\n",
            "involvedObject": {"kind": "Pod", "name": "p"}, "count": 1,
            "firstTimestamp": "2026-01-01T00:25:00Z", "lastTimestamp": "2026-01-01T00:45:00Z"});
        assert_eq!(row(&event, true, now), ["d", "15m", "Normal", "Pulled", "Pod/p", "x"]);
        event["count"] = json!(2);
        assert_eq!(row(&event, false, now)[0], "15m (x2 over 35m)");
        event["lastTimestamp"] = Value::Null;
        event["firstTimestamp"] = Value::Null;
        assert_eq!(row(&event, false, now)[0], "<unknown> (x2 over <unknown>)");
        assert_eq!(head(true).len(), 6);
    }
}
