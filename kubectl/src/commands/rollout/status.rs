//! `rollout status`: tells how far a rollout is, and waits for its end.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::progress::{self, Progress};
use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};

/// Arguments of `rollout status`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout status deployment/web
  minikctl rollout status deployment/web --timeout=1m")]
pub struct Status {
    /// The objects: deployment/web, daemonset web.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Whether to wait until the rollout is through.
    #[arg(short, long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    watch: bool,
    /// How long to wait; 0 means as long as it takes.
    #[arg(long, value_parser = duration::parse, default_value = "0s", value_name = "DURATION")]
    timeout: Duration,
    /// Fail when another revision is being rolled out; 0 means any.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    revision: i64,
}

impl Status {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.words.is_empty() && self.files.filename.is_empty() {
            bail!("required resource not specified");
        }
        let session = Session::open(global).await?;
        let selection = Selection {
            selector: self.selector.clone(),
            ..Selection::default()
        };
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &selection,
            kind_is_enough: true,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        for named in found {
            if let Err(error) = self.one(&session, &named).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(&self, session: &Session, named: &Named) -> anyhow::Result<()> {
        if !self.watch {
            return self.tell(&progress::of(
                &self.with_kind(named, named.fetch(session).await?),
                self.revision,
            )?);
        }
        // Says it in the server's words when there is no such object.
        named.fetch(session).await?;
        let end = self.until_done(session, named);
        if self.timeout.is_zero() {
            return end.await;
        }
        let ended = tokio::time::timeout(self.timeout, end).await;
        ended.map_err(|_| anyhow!("timed out waiting for the condition"))?
    }

    /// Follows the object; each step is told once.
    async fn until_done(&self, session: &Session, named: &Named) -> anyhow::Result<()> {
        let mut told = None;
        let decide = |object: Option<&Value>| {
            let Some(object) = object else {
                bail!("object has been deleted");
            };
            let now = progress::of(&self.with_kind(named, object.clone()), self.revision)?;
            if told.as_ref() != Some(&now) {
                self.tell(&now)?;
            }
            let done = matches!(now, Progress::Done(_));
            told = Some(now);
            Ok(done.then_some(()))
        };
        named.followed().until(session, decide).await
    }

    /// Lists leave the kind out.
    fn with_kind(&self, named: &Named, mut object: Value) -> Value {
        object["kind"] = Value::from(named.resource.kind.as_str());
        object
    }

    fn tell(&self, progress: &Progress) -> anyhow::Result<()> {
        let (Progress::Waiting(text) | Progress::Done(text)) = progress;
        Ok(writeln!(anstream::stdout(), "{text}")?)
    }
}
