//! `delete`: ask for objects to go, and wait until they are gone.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::removing::{Cascade, gone, uid_of};
use crate::commands::target::query;
use crate::commands::writing::DryRun;

/// Arguments of `delete`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl delete -f manifests/nginx.yaml
  minikctl delete pod nginx
  minikctl delete pods -l app=web
  minikctl delete pods --all --grace-period=1")]
pub struct Delete {
    /// What to delete: pod nginx, pod/nginx service/web, pods (with --all or -l).
    #[arg(value_name = "KIND [NAME ...]")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// Return only when the objects are gone.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// How long to wait; 0 means as long as it takes.
    #[arg(long, value_parser = duration::parse, default_value = "0s", value_name = "DURATION")]
    timeout: Duration,
    /// How many seconds processes get to end by themselves.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    grace_period: Option<i64>,
    /// Forget the objects at once, whatever becomes of their processes.
    #[arg(long)]
    force: bool,
    /// The same as --grace-period=1.
    #[arg(long)]
    now: bool,
    /// Say nothing about objects that are not there.
    #[arg(long)]
    ignore_not_found: bool,
    /// What becomes of the objects that belong to these.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    cascade: Cascade,
    /// Show what would be deleted.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// Ask before anything is deleted.
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Delete what is at a path: /api/v1/namespaces/default/pods/nginx.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["what", "filename"])]
    raw: Option<String>,
    /// How to show what is deleted: name.
    #[arg(short, long, value_parser = ["name"])]
    output: Option<String>,
}

impl Delete {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if let Some(path) = &self.raw {
            let session = Session::open(global).await?;
            let answer = session
                .send(Method::DELETE, path, "application/json", &self.options())
                .await?;
            writeln!(anstream::stdout(), "{answer}")?;
            return Ok(());
        }
        self.check()?;
        let session = Session::open(global).await?;
        let (victims, mut errors) = self.wanted().find(&session).await?;
        if victims.is_empty() && errors.is_empty() && self.selection.is_given() {
            writeln!(anstream::stdout(), "No resources found")?;
            return Ok(());
        }
        if self.force && self.grace_period.unwrap_or(0) == 0 {
            writeln!(
                anstream::stderr(),
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
                 terminated. The resource may continue to run on the cluster indefinitely."
            )?;
        }
        if self.interactive && !confirmed(&victims)? {
            writeln!(anstream::stdout(), "deletion is cancelled")?;
            return Ok(());
        }
        let mut deleted = Vec::new();
        for victim in victims {
            match self.delete(&session, &victim).await {
                Ok(Some(uid)) => deleted.push((victim, uid)),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if self.wait && self.dry_run == DryRun::None {
            let all_gone = async {
                for (victim, uid) in &deleted {
                    gone(&session, victim.followed(), uid).await?;
                }
                Ok::<_, anyhow::Error>(())
            };
            if self.timeout.is_zero() {
                all_gone.await?;
            } else {
                tokio::time::timeout(self.timeout, all_gone)
                    .await
                    .map_err(|_| anyhow!("timed out waiting for the condition"))??;
            }
        }
        finish(errors)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            words: &self.what,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: false,
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.files.filename.is_empty() && self.what.is_empty() {
            bail!(
                "You must provide one or more resources by argument or filename: `minikctl delete pod nginx`, `minikctl delete -f FILE`"
            );
        }
        if self.selection.all && self.selection.selector.is_some() {
            bail!("cannot set --all and --selector at the same time");
        }
        if self.grace_period == Some(0) && !self.force {
            bail!("--grace-period=0 forgets objects while their processes may still run: say --force too, or --now");
        }
        Ok(())
    }

    /// Asks for one object to go; none when there was nothing to delete, else the uid of what goes, as far as it is known.
    async fn delete(&self, session: &Session, victim: &Named) -> anyhow::Result<Option<String>> {
        let mut gone = String::new();
        if self.dry_run != DryRun::Client {
            let mut path = victim.path();
            if self.dry_run == DryRun::Server {
                path.push_str(&query(&[("dryRun", "All")]));
            }
            match session
                .send(Method::DELETE, &path, "application/json", &self.options())
                .await
            {
                Ok(answer) => {
                    gone = uid_of(&answer).to_owned();
                }
                Err(failure) if failure.is_not_found() && self.ignore_not_found => return Ok(None),
                // What a selector found and is gone by itself is what was wanted.
                Err(failure) if failure.is_not_found() && victim.object.is_some() => return Ok(None),
                Err(failure) => {
                    return Err(match victim.place() {
                        Some(place) => failure.when("deleting", &place).into(),
                        None => failure.into(),
                    });
                }
            }
        }
        let mut out = anstream::stdout();
        if self.output.is_some() {
            writeln!(out, "{}", victim.shown())?;
        } else {
            let kind = victim.resource.named("");
            let kind = kind.trim_end_matches('/');
            let how = if self.force && self.grace_period.unwrap_or(0) == 0 {
                "force deleted"
            } else {
                "deleted"
            };
            writeln!(out, "{kind} {:?} {how}{}", victim.name, self.dry_run.suffix())?;
        }
        Ok(Some(gone))
    }

    fn options(&self) -> Value {
        let mut options = Map::new();
        options.insert("propagationPolicy".to_owned(), json!(self.cascade.policy()));
        let forced = self.force.then_some(0);
        let now = self.now.then_some(1);
        let grace = self.grace_period.filter(|seconds| *seconds >= 0).or(forced).or(now);
        if let Some(seconds) = grace {
            options.insert("gracePeriodSeconds".to_owned(), json!(seconds));
        }
        Value::Object(options)
    }
}

/// Shows what would go, and asks.
fn confirmed(victims: &[Named]) -> anyhow::Result<bool> {
    let mut out = anstream::stdout();
    writeln!(
        out,
        "You are about to delete the following {} resource(s):",
        victims.len()
    )?;
    for victim in victims {
        writeln!(out, "{}", victim.shown())?;
    }
    write!(out, "Do you want to continue? (y/n): ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "y")
}
