//! `drain`: no new pods come to a node, and those that are there go, as their disruption budgets allow.
//!
//! ```text
//!   cordon ──> verdict (pure): leave, evict, refuse; for each pod ──> evict all at once ──> wait until they are gone
//! ```

mod verdict;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::future::join_all;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::cordon::{self, Nodes};
use crate::commands::following::Followed;
use crate::commands::objects::Named;
use crate::commands::target::query;
use crate::commands::writing::{DryRun, Writing};
use crate::commands::{duration, pod};
use crate::failure::{Exit, Failure};
use crate::resources::Resource;
use verdict::{Allowed, Verdict};

/// How long until an eviction that a disruption budget forbids is tried again (kubectl's number).
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Arguments of `drain`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl drain mynode --ignore-daemonsets
  minikctl drain mynode --force --grace-period=10 --delete-emptydir-data")]
pub struct Drain {
    #[command(flatten)]
    which: Nodes,
    #[command(flatten)]
    allowed: Allowed,
    /// How many seconds processes get to end; a negative number means as many as their pods say.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// How long to wait; 0 means as long as it takes.
    #[arg(long, value_parser = duration::parse, default_value = "0s", value_name = "DURATION")]
    timeout: Duration,
    /// Only pods with these labels.
    #[arg(long, value_name = "SELECTOR")]
    pod_selector: Option<String>,
    /// Delete pods whatever their disruption budgets say.
    #[arg(long)]
    disable_eviction: bool,
    /// How many objects are asked for at once.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    chunk_size: u32,
    #[command(flatten)]
    writing: Writing,
}

/// What a drain needs to know of the cluster.
struct Work<'a> {
    session: &'a Session,
    pods: Resource,
    evicts: bool,
    writing: &'a Writing,
    grace_period: i64,
    timeout: Duration,
}

impl Drain {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let nodes = self.which.find(&session, "drain").await?;
        for node in &nodes {
            cordon::mark(&session, node, &self.writing, true).await?;
        }
        let work = Work {
            session: &session,
            pods: session.called("pods").await?.remove(0),
            evicts: !self.disable_eviction && can_evict(&session).await?,
            writing: &self.writing,
            grace_period: self.grace_period,
            timeout: self.timeout,
        };
        let mut pending: Vec<(&Named, anyhow::Error)> = Vec::new();
        for node in &nodes {
            match self.node(&work, node).await {
                Ok(()) => {
                    let suffix = self.writing.dry_run.suffix();
                    writeln!(anstream::stdout(), "{} drained{suffix}", node.shown())?;
                }
                Err(error) => {
                    writeln!(
                        anstream::stderr(),
                        "error: unable to drain node {:?} due to error: {error}, continuing command...",
                        node.name
                    )?;
                    pending.push((node, error));
                }
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        let mut err = anstream::stderr();
        writeln!(err, "There are pending nodes to be drained:")?;
        for (node, _) in &pending {
            writeln!(err, " {}", node.name)?;
        }
        for (_, error) in &pending {
            writeln!(err, "{error}")?;
        }
        Err(Exit(1).into())
    }

    async fn node(&self, work: &Work<'_>, node: &Named) -> anyhow::Result<()> {
        let fields = format!("spec.nodeName={}", node.name);
        let mut parameters = vec![("fieldSelector", fields.as_str())];
        if let Some(labels) = &self.pod_selector {
            parameters.push(("labelSelector", labels));
        }
        let limit = self.chunk_size.to_string();
        let mut pods = Vec::new();
        let mut token = String::new();
        loop {
            let mut parameters = parameters.clone();
            if self.chunk_size > 0 {
                parameters.push(("limit", &limit));
            }
            if !token.is_empty() {
                parameters.push(("continue", &token));
            }
            let mut list = work
                .session
                .get(&format!("{}{}", work.pods.collection(None), query(&parameters)))
                .await?;
            if let Value::Array(items) = list["items"].take() {
                pods.extend(items);
            }
            list["metadata"]["continue"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut token);
            if token.is_empty() {
                break;
            }
        }
        let mut verdicts = Vec::new();
        for pod in &pods {
            let daemon_set = daemon_set_of(work.session, pod).await?;
            verdicts.push((pod, verdict::of(pod, daemon_set, &self.allowed, Timestamp::now())));
        }
        let refusals = verdict::told(verdicts.iter().filter_map(|(pod, verdict)| match verdict {
            Verdict::Refuse(why) => Some((*why, *pod)),
            _ => None,
        }));
        if !refusals.is_empty() {
            bail!("cannot delete {}", refusals.join(", cannot delete "));
        }
        let warnings = verdict::told(verdicts.iter().filter_map(|(pod, verdict)| match verdict {
            Verdict::Leave(Some(why)) | Verdict::Evict(Some(why)) => Some((*why, *pod)),
            _ => None,
        }));
        if !warnings.is_empty() {
            writeln!(anstream::stderr(), "Warning: {}", warnings.join("; "))?;
        }
        let going = verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Evict(_)));
        work.evict_all(going.map(|(pod, _)| *pod).collect()).await
    }
}

impl Work<'_> {
    async fn evict_all(&self, pods: Vec<&Value>) -> anyhow::Result<()> {
        let all = join_all(pods.into_iter().map(|pod| self.evict(pod)));
        let results = if self.timeout.is_zero() {
            all.await
        } else {
            tokio::time::timeout(self.timeout, all)
                .await
                .map_err(|_| anyhow!("drain did not complete within {}s", self.timeout.as_secs_f64()))?
        };
        let errors: Vec<String> = results
            .into_iter()
            .filter_map(|result| result.err().map(|error| error.to_string()))
            .collect();
        match errors.as_slice() {
            [] => Ok(()),
            [one] => bail!("{one}"),
            several => bail!("[{}]", several.join(", ")),
        }
    }

    /// Asks for one pod to go, as often as its disruption budget refuses, and waits until it has gone.
    async fn evict(&self, pod: &Value) -> anyhow::Result<()> {
        let name = pod::name(pod);
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let (doing, done) = if self.evicts {
            ("evicting", "evicted")
        } else {
            ("deleting", "deleted")
        };
        let suffix = self.writing.dry_run.suffix();
        loop {
            writeln!(anstream::stderr(), "{doing} pod {namespace}/{name}{suffix}")?;
            if self.writing.dry_run == DryRun::Client {
                return Ok(());
            }
            match self.ask(namespace, name).await {
                Ok(_) => break,
                // The pod is gone. A server that has no evictions says the same of its path, but doesn't name the pod.
                Err(failure) if failure.is_not_found() && said(&failure).contains(&format!("{name:?}")) => {
                    return Ok(());
                }
                Err(failure) if self.evicts && failure.code() == Some(429) => {
                    let why = said(&failure);
                    writeln!(
                        anstream::stderr(),
                        "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {why}"
                    )?;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(failure) => bail!("error when {doing} pods/{name:?} -n {namespace:?}: {}", said(&failure)),
            }
        }
        if self.writing.dry_run == DryRun::Server {
            return Ok(());
        }
        let uid = &pod["metadata"]["uid"];
        let followed = Followed {
            resource: &self.pods,
            namespace,
            name,
        };
        let gone = |present: Option<&Value>| {
            Ok(present
                .is_none_or(|present| present["metadata"]["uid"] != *uid)
                .then_some(()))
        };
        followed.until(self.session, gone).await?;
        writeln!(anstream::stdout(), "pod/{name} {done}")?;
        Ok(())
    }

    async fn ask(&self, namespace: &str, name: &str) -> Result<Value, Failure> {
        let mut options = json!({});
        if self.grace_period >= 0 {
            options["gracePeriodSeconds"] = json!(self.grace_period);
        }
        if self.writing.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        let path = self.pods.object(namespace, name);
        if !self.evicts {
            return self
                .session
                .send(Method::DELETE, &path, "application/json", &options)
                .await;
        }
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace}, "deleteOptions": options});
        let path = format!("{path}/eviction");
        self.session
            .send(Method::POST, &path, "application/json", &eviction)
            .await
    }
}

/// The server's sentence alone.
fn said(failure: &Failure) -> String {
    match failure {
        Failure::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether the server knows evictions.
async fn can_evict(session: &Session) -> anyhow::Result<bool> {
    let core = session.get("/api/v1").await?;
    let mut resources = core["resources"].as_array().into_iter().flatten();
    Ok(resources.any(|resource| resource["name"] == "pods/eviction"))
}

/// Whether the daemon set that a pod belongs to is there; nothing when it belongs to none.
async fn daemon_set_of(session: &Session, pod: &Value) -> anyhow::Result<Option<bool>> {
    let owner = verdict::controller(pod).filter(|owner| owner["kind"] == "DaemonSet");
    let Some(name) = owner.and_then(|owner| owner["name"].as_str()) else {
        return Ok(None);
    };
    let resource = session.called("daemonsets.apps").await?.remove(0);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    match session.get(&resource.object(namespace, name)).await {
        Ok(_) => Ok(Some(true)),
        Err(failure) if failure.is_not_found() => Ok(Some(false)),
        Err(failure) => Err(failure.into()),
    }
}
