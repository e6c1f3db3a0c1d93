//! `wait`: return when objects are in a state, by watching, never by asking again and again.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::Writing;
use crate::print::jsonpath::Template;
use crate::print::output::Output;

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
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// Until when: condition=NAME[=VALUE], delete, create, jsonpath='{PATH}'=VALUE.
    #[arg(long = "for", value_name = "STATE", required = true)]
    state: State,
    /// How long to wait.
    #[arg(long, value_parser = duration::parse, default_value = "30s", value_name = "DURATION")]
    timeout: Duration,
    /// How to show the objects: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
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
        let wanted = Wanted {
            words: &self.what,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: false,
        };
        let (objects, errors) = wanted.find(&session).await?;
        finish(errors)?;
        if objects.is_empty() && self.state != State::Deleted {
            bail!("no matching resources found");
        }
        let deadline = tokio::time::Instant::now() + self.timeout;
        let writing = Writing {
            output: self.output.clone(),
            show_managed_fields: self.show_managed_fields,
            ..Writing::default()
        };
        let mut teller = writing.teller();
        let mut late = Vec::new();
        for named in &objects {
            match tokio::time::timeout_at(deadline, self.reached(&session, named)).await {
                Ok(reached) => {
                    if let Some(object) = reached? {
                        teller.tell(&named.resource, &object, "condition met")?;
                    }
                }
                Err(_) if self.state == State::Created => late.push(anyhow!("timed out waiting for the condition")),
                Err(_) => {
                    let what = format!("{}/{}", named.resource.qualified(), named.name);
                    late.push(anyhow!("timed out waiting for the condition on {what}"));
                }
            }
        }
        finish(late)
    }

    /// Returns when an object is in the state, with what it was last; nothing when it never was there, so that there is nothing
    /// to tell.
    async fn reached(&self, session: &Session, named: &Named) -> anyhow::Result<Option<Value>> {
        let mut last = json!({"metadata": {"name": named.name}});
        if self.state != State::Created {
            // Waiting for the state of what is not there would be waiting for somebody else's mistake.
            match session.get(&named.path()).await {
                Err(failure) if failure.is_not_found() && self.state == State::Deleted => return Ok(None),
                object => last = object?,
            }
        }
        let must_stay = !matches!(self.state, State::Created | State::Deleted);
        let decide = |now: Option<&Value>| {
            if now.is_none() && must_stay {
                bail!(
                    "{}/{} was deleted while waiting",
                    named.resource.qualified(),
                    named.name
                );
            }
            if let Some(now) = now {
                last = now.clone();
                last["apiVersion"] = Value::from(named.resource.api_version());
                last["kind"] = Value::from(named.resource.kind.as_str());
            }
            Ok(self.state.holds(now).then_some(()))
        };
        named.followed().until(session, decide).await?;
        Ok(Some(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
