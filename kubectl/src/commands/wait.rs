//! `wait`: return when objects are in a state, by watching, never by asking again and again.

use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::commands::target::{self, Selectors, query};
use crate::failure::Failure;
use crate::manifest;
use crate::print::jsonpath::Template;
use crate::resources::Resource;

/// Arguments of `wait`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl wait --for=condition=Ready pod/nginx --timeout=30s
  minikctl wait --for=delete pod/nginx
  minikctl wait --for=jsonpath='{.status.phase}'=Running pod -l app=web")]
pub struct Wait {
    /// The objects: pod/nginx, pod nginx, pods (with --all or -l).
    #[arg(value_name = "KIND/NAME")]
    what: Vec<String>,
    /// The objects that a file names.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "what")]
    filename: Vec<String>,
    /// Until when: condition=NAME[=VALUE], delete, create, jsonpath='{PATH}'=VALUE.
    #[arg(long = "for", value_name = "STATE", required = true)]
    state: State,
    /// How long to wait.
    #[arg(long, value_parser = duration::parse, default_value = "30s", value_name = "DURATION")]
    timeout: Duration,
    /// All objects of the kind.
    #[arg(long)]
    all: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A condition has a value.
    Condition(String, String),
    /// The object is gone.
    Deleted,
    /// The object is there.
    Created,
    /// A field has a value, or any at all.
    Field(Template, Option<String>),
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("delete", "") => Ok(Self::Deleted),
            ("create", "") => Ok(Self::Created),
            ("condition", rest) if !rest.is_empty() => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
                Ok(Self::Condition(name.to_owned(), value.to_owned()))
            }
            ("jsonpath", rest) if !rest.is_empty() => {
                // The value stands behind the braces; an `=` inside them belongs to a filter.
                let end = rest.rfind('}').map_or(0, |at| at + 1);
                let (path, value) = rest.split_at(end);
                let path = if path.is_empty() {
                    rest.split('=').next().unwrap_or(rest)
                } else {
                    path
                };
                let value = rest[path.len()..]
                    .strip_prefix('=')
                    .map(str::to_owned)
                    .or((!value.is_empty()).then(String::new));
                Ok(Self::Field(path.parse()?, value))
            }
            _ => Err(format!(
                "unrecognized condition {text:?}: use condition=NAME, delete, create or jsonpath='{{PATH}}'=VALUE"
            )),
        }
    }
}

impl State {
    /// Whether an object, or its absence, is in this state. Pure.
    #[must_use]
    pub fn holds(&self, object: Option<&Value>) -> bool {
        match (self, object) {
            (Self::Deleted, None) | (Self::Created, Some(_)) => true,
            (Self::Condition(name, value), Some(object)) => object["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|condition| {
                    let is = |field: &str, wanted: &str| {
                        condition[field]
                            .as_str()
                            .is_some_and(|text| text.eq_ignore_ascii_case(wanted))
                    };
                    is("type", name) && is("status", value)
                }),
            (Self::Field(path, value), Some(object)) => match value {
                None => !path.find(object).is_empty(),
                Some(value) => path.render(object) == *value && !path.find(object).is_empty(),
            },
            _ => false,
        }
    }
}

impl Wait {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let objects = self.objects(&session).await?;
        if objects.is_empty() && self.state != State::Deleted {
            bail!("no matching resources found");
        }
        let deadline = tokio::time::Instant::now() + self.timeout;
        for (resource, namespace, name) in &objects {
            let reached = until(&session, resource, namespace, name, &self.state);
            match tokio::time::timeout_at(deadline, reached).await {
                Ok(reached) => reached?,
                Err(_) => bail!("timed out waiting for the condition on {}/{name}", resource.qualified()),
            }
            writeln!(anstream::stdout(), "{} condition met", resource.named(name))?;
        }
        Ok(())
    }

    async fn objects(&self, session: &Session) -> anyhow::Result<Vec<(Resource, String, String)>> {
        let mut objects = Vec::new();
        for document in manifest::read(&self.filename, false).await {
            let mut document = document?;
            let resource = super::apply::place(session, &mut document).await?;
            let (namespace, name) = (document.text("/metadata/namespace"), document.text("/metadata/name"));
            objects.push((resource, namespace.to_owned(), name.to_owned()));
        }
        for target in target::resolve(session, &self.what).await? {
            let mut names = target.names.clone();
            if names.is_empty() {
                if !self.all && self.selector.is_none() {
                    bail!("resource(s) were provided, but no name was specified: name the objects, or say --all or -l");
                }
                let selectors = Selectors {
                    labels: self.selector.clone(),
                    fields: None,
                };
                let collection = target.resource.collection(Some(&session.namespace));
                let list = session.get(&format!("{collection}{}", selectors.query(&[]))).await?;
                let items = list["items"].as_array().into_iter().flatten();
                names.extend(items.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)));
            }
            objects.extend(
                names
                    .into_iter()
                    .map(|name| (target.resource.clone(), session.namespace.clone(), name)),
            );
        }
        Ok(objects)
    }
}

/// Returns when an object is in a state.
async fn until(
    session: &Session,
    resource: &Resource,
    namespace: &str,
    name: &str,
    state: &State,
) -> anyhow::Result<()> {
    let fields = format!("metadata.name={name}");
    let collection = resource.collection(Some(namespace));
    loop {
        let list = session
            .get(&format!("{collection}{}", query(&[("fieldSelector", &fields)])))
            .await?;
        let now = &list["items"][0];
        if state.holds((!now.is_null()).then_some(now)) {
            return Ok(());
        }
        if now.is_null() && *state != State::Created {
            // Waiting for the state of what is not there would be waiting for somebody else's mistake.
            session.get(&resource.object(namespace, name)).await?;
        }
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let query = query(&[
            ("fieldSelector", &fields),
            ("resourceVersion", version),
            ("watch", "true"),
        ]);
        let mut events = Box::pin(
            session
                .follow(&format!("{collection}{query}"), "application/json")
                .await?,
        );
        while let Some(event) = events.next().await {
            let event = event?;
            match event["type"].as_str() {
                Some("ERROR") => {
                    let status: kube::core::Status =
                        serde_json::from_value(event["object"].clone()).unwrap_or_default();
                    if status.code == 410 {
                        break;
                    }
                    return Err(Failure::Api(Box::new(status)).into());
                }
                Some("DELETED") if *state == State::Deleted => return Ok(()),
                Some("DELETED") => return Err(anyhow!("{}/{name} was deleted while waiting", resource.qualified())),
                Some("ADDED" | "MODIFIED") if state.holds(Some(&event["object"])) => return Ok(()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn states_are_told_apart() {
        let pod = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for (state, expected) in [
            ("condition=Ready", true),
            ("condition=ready=True", true),
            ("condition=Ready=false", false),
            ("condition=Initialized", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath=.status.phase=Running", true),
            ("jsonpath={.status.podIP}", false),
            ("jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True", true),
            ("delete", false),
            ("create", true),
        ] {
            let state: State = state.parse().expect(state);
            assert_eq!(state.holds(Some(&pod)), expected, "{state:?}");
        }
        assert!(State::Deleted.holds(None));
        assert!(!State::Created.holds(None));
        assert!("ready".parse::<State>().is_err());
    }
}
