//! `delete`: ask for objects to go, and wait until they are gone.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::apply::{self, DryRun};
use crate::commands::duration;
use crate::commands::target::{self, Selectors, query};
use crate::failure::{Failure, Several};
use crate::manifest;
use crate::resources::Resource;

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
    /// Delete the objects that a file names.
    #[arg(short, long = "filename", value_name = "FILE", conflicts_with = "what")]
    filename: Vec<String>,
    /// Read folders with what is below them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// All objects of the kind in the namespace.
    #[arg(long)]
    all: bool,
    /// In all namespaces (with --all or -l).
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields.
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
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
    /// How to show what is deleted: name.
    #[arg(short, long, value_parser = ["name"])]
    output: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// They follow.
    #[default]
    #[value(alias = "true")]
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    #[value(alias = "false")]
    Orphan,
}

/// One object to delete.
struct Victim {
    resource: Resource,
    namespace: String,
    name: String,
    /// Known once the server has accepted.
    uid: Option<String>,
}

impl Delete {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        self.check()?;
        let session = Session::open(global).await?;
        let (victims, mut errors) = self.victims(&session).await?;
        let by_selection = self.all || self.selector.is_some() || self.field_selector.is_some();
        if victims.is_empty() && errors.is_empty() && by_selection {
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
        let mut deleted = Vec::new();
        for mut victim in victims {
            match self.delete(&session, &mut victim).await {
                Ok(true) => deleted.push(victim),
                Ok(false) => {}
                Err(error) => errors.push(error),
            }
        }
        if self.wait && self.dry_run == DryRun::None {
            let gone = async {
                for victim in &deleted {
                    victim.until_gone(&session).await?;
                }
                Ok::<_, anyhow::Error>(())
            };
            if self.timeout.is_zero() {
                gone.await?;
            } else {
                tokio::time::timeout(self.timeout, gone)
                    .await
                    .map_err(|_| anyhow!("timed out waiting for the condition"))??;
            }
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Several(errors).into()),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let selects = self.selector.is_some() || self.field_selector.is_some();
        if self.filename.is_empty() && self.what.is_empty() {
            bail!(
                "You must provide one or more resources by argument or filename: `minikctl delete pod nginx`, `minikctl delete -f FILE`"
            );
        }
        if self.all && self.selector.is_some() {
            bail!("cannot set --all and --selector at the same time");
        }
        if self.grace_period == Some(0) && !self.force {
            bail!("--grace-period=0 forgets objects while their processes may still run: say --force too, or --now");
        }
        let names_nothing = self.what.len() == 1 && !self.what[0].contains('/');
        if self.filename.is_empty() && names_nothing && !self.all && !selects {
            bail!("resource(s) were provided, but no name was specified: name the objects, or say --all or -l");
        }
        if self.what.len() > 1 && (self.all || selects) {
            bail!("name cannot be provided when a selector is specified");
        }
        Ok(())
    }

    async fn victims(&self, session: &Session) -> anyhow::Result<(Vec<Victim>, Vec<anyhow::Error>)> {
        let (mut victims, mut errors) = (Vec::new(), Vec::new());
        for document in manifest::read(&self.filename, self.recursive).await {
            let placed = async {
                let mut document = document?;
                let resource = apply::place(session, &mut document).await?;
                Ok::<_, anyhow::Error>(Victim {
                    resource,
                    namespace: document.text("/metadata/namespace").to_owned(),
                    name: document.text("/metadata/name").to_owned(),
                    uid: None,
                })
            };
            match placed.await {
                Ok(victim) => victims.push(victim),
                Err(error) => errors.push(error),
            }
        }
        for target in target::resolve(session, &self.what).await? {
            let victim = |namespace: &str, name: &str| Victim {
                resource: target.resource.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: None,
            };
            victims.extend(target.names.iter().map(|name| victim(&session.namespace, name)));
            if target.names.is_empty() {
                let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
                let selectors = Selectors {
                    labels: self.selector.clone(),
                    fields: self.field_selector.clone(),
                };
                let path = format!("{}{}", target.resource.collection(namespace), selectors.query(&[]));
                let list = session.get(&path).await?;
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                for item in list["items"].as_array().into_iter().flatten() {
                    victims.push(victim(
                        &text(&item["metadata"]["namespace"]),
                        &text(&item["metadata"]["name"]),
                    ));
                }
            }
        }
        Ok((victims, errors))
    }

    /// Asks for one object to go; false when there is nothing to wait for.
    async fn delete(&self, session: &Session, victim: &mut Victim) -> anyhow::Result<bool> {
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
                    // The object while it goes, or a Status when it is gone.
                    let uid = answer["metadata"]["uid"].as_str().or(answer["details"]["uid"].as_str());
                    victim.uid = uid.map(str::to_owned);
                }
                Err(failure) if failure.is_not_found() && self.ignore_not_found => return Ok(false),
                Err(failure) if failure.is_not_found() && !self.filename.is_empty() => {
                    return Err(failure
                        .when("deleting", &format!("{:?}", self.filename.join(",")))
                        .into());
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        let mut out = anstream::stdout();
        if self.output.is_some() {
            writeln!(out, "{}", victim.resource.named(&victim.name))?;
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
        Ok(true)
    }

    fn options(&self) -> Value {
        let mut options = Map::new();
        let policy = match self.cascade {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        };
        options.insert("propagationPolicy".to_owned(), json!(policy));
        let forced = self.force.then_some(0);
        let now = self.now.then_some(1);
        let grace = self.grace_period.filter(|seconds| *seconds >= 0).or(forced).or(now);
        if let Some(seconds) = grace {
            options.insert("gracePeriodSeconds".to_owned(), json!(seconds));
        }
        Value::Object(options)
    }
}

impl Victim {
    fn path(&self) -> String {
        self.resource.object(&self.namespace, &self.name)
    }

    /// Returns when the object, or the one with its uid, is no more.
    async fn until_gone(&self, session: &Session) -> anyhow::Result<()> {
        loop {
            let object = match session.get(&self.path()).await {
                Ok(object) => object,
                Err(failure) if failure.is_not_found() => return Ok(()),
                Err(failure) => return Err(failure.into()),
            };
            let uid = object["metadata"]["uid"].as_str();
            if self.uid.is_some() && uid != self.uid.as_deref() {
                // Somebody made a new one already.
                return Ok(());
            }
            let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let fields = format!("metadata.name={}", self.name);
            let query = query(&[
                ("fieldSelector", &fields),
                ("resourceVersion", version),
                ("watch", "true"),
            ]);
            let collection = self.resource.collection(Some(&self.namespace));
            let mut events = Box::pin(
                session
                    .follow(&format!("{collection}{query}"), "application/json")
                    .await?,
            );
            while let Some(event) = events.next().await {
                let event = event?;
                if event["type"] == "DELETED" && event["object"]["metadata"]["uid"].as_str() == uid {
                    return Ok(());
                }
                if event["type"] == "ERROR" {
                    // Too old a version: the next round asks anew. Anything else is for the user.
                    let status: kube::core::Status =
                        serde_json::from_value(event["object"].clone()).unwrap_or_default();
                    if status.code == 410 {
                        break;
                    }
                    return Err(Failure::Api(Box::new(status)).into());
                }
            }
        }
    }
}
