//! `rollout undo`: make an object what an earlier revision of it was.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::Value;

use super::revisions;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};

/// Arguments of `rollout undo`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout undo deployment/web
  minikctl rollout undo daemonset/agent --to-revision=3")]
pub struct Undo {
    /// The objects: deployment/web, daemonset web.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// The revision to go back to; 0 means the last one.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    to_revision: i64,
    #[command(flatten)]
    writing: Writing,
}

impl Undo {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.words.is_empty() && self.files.filename.is_empty() {
            bail!("required resource not specified");
        }
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        let mut teller = self.writing.teller();
        for named in found {
            if let Err(error) = self.one(&session, &named, &mut teller).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(&self, session: &Session, named: &Named, teller: &mut Teller<'_>) -> anyhow::Result<()> {
        let mut object = named.fetch(session).await?;
        object["kind"] = Value::from(named.resource.kind.as_str());
        if object["spec"]["paused"] == true {
            bail!(
                "you cannot rollback a paused deployment; resume it first with 'minikctl rollout resume' and try again"
            );
        }
        let known = revisions::of(session, &named.resource, &object).await?;
        let (number, revision) = chosen(&known, self.to_revision).ok_or_else(|| match self.to_revision {
            0 => anyhow!(
                "no rollout history found for {} {:?}",
                named.resource.singular,
                named.name
            ),
            wanted => anyhow!("unable to find specified revision {wanted} in history"),
        })?;
        if revisions::template(revision) == object["spec"]["template"] {
            let what = format!("skipped rollback (current template already matches revision {number})");
            return Ok(teller.tell(&named.resource, &object, &what)?);
        }
        if self.writing.dry_run == DryRun::Client {
            object["spec"]["template"] = revisions::template(revision);
        } else {
            let patch = revisions::way_back(&object, revision);
            let kind = if patch.is_array() {
                "application/json-patch+json"
            } else {
                "application/strategic-merge-patch+json"
            };
            let path = format!("{}{}", named.path(), self.writing.query("kubectl-rollout", &[]));
            object = session.send(Method::PATCH, &path, kind, &patch).await?;
        }
        Ok(teller.tell(&named.resource, &object, "rolled back")?)
    }
}

/// The revision with the wanted number, or the one before the newest. Pure.
fn chosen(known: &BTreeMap<i64, Value>, wanted: i64) -> Option<(i64, &Value)> {
    let found = if wanted == 0 {
        known.iter().rev().nth(1)
    } else {
        known.get_key_value(&wanted)
    };
    found.map(|(number, revision)| (*number, revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_the_newest_or_the_wanted_one() {
        let known: BTreeMap<i64, Value> = [1, 3, 4].map(|number| (number, Value::from(number))).into();
        assert_eq!(chosen(&known, 0), Some((3, &Value::from(3))));
        assert_eq!(chosen(&known, 1), Some((1, &Value::from(1))));
        assert!(chosen(&known, 2).is_none() && chosen(&known, -1).is_none());
        assert!(chosen(&BTreeMap::from([(1, Value::Null)]), 0).is_none());
    }
}
