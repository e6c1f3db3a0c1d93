//! `cordon` and `uncordon`: whether new pods may come to a node.

use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Writing};

/// Arguments of `cordon`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl cordon mynode")]
pub struct Cordon {
    #[command(flatten)]
    which: Nodes,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments of `uncordon`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl uncordon mynode")]
pub struct Uncordon {
    #[command(flatten)]
    which: Nodes,
    #[command(flatten)]
    writing: Writing,
}

/// Which nodes.
#[derive(Args, Clone, Debug, Default)]
pub struct Nodes {
    /// The nodes' names.
    #[arg(value_name = "NODE")]
    names: Vec<String>,
    /// All nodes with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

impl Cordon {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        mark_all(global, &self.which, &self.writing, "cordon", true).await
    }
}

impl Uncordon {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        mark_all(global, &self.which, &self.writing, "uncordon", false).await
    }
}

impl Nodes {
    /// The nodes that are meant.
    ///
    /// # Errors
    /// When none is named.
    pub async fn find(&self, session: &Session, verb: &str) -> anyhow::Result<Vec<Named>> {
        if self.names.is_empty() && self.selector.is_none() {
            bail!("USAGE: {verb} NODE [flags]");
        }
        if !self.names.is_empty() && self.selector.is_some() {
            bail!("cannot specify both a node name and a --selector option");
        }
        let mut words = vec!["nodes".to_owned()];
        let names = self.names.iter().flat_map(|name| name.split(','));
        // kubectl takes a kind before the name, too.
        words.extend(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()));
        let selection = Selection {
            selector: self.selector.clone(),
            ..Selection::default()
        };
        let wanted = Wanted {
            words: &words,
            files: &Files::default(),
            selection: &selection,
            kind_is_enough: false,
        };
        let (mut found, errors) = wanted.find(session).await?;
        finish(errors)?;
        for node in &mut found {
            node.object = Some(node.fetch(session).await?);
        }
        Ok(found)
    }
}

async fn mark_all(global: &Global, which: &Nodes, writing: &Writing, verb: &str, closed: bool) -> anyhow::Result<()> {
    let session = Session::open(global).await?;
    let mut errors = Vec::new();
    for node in which.find(&session, verb).await? {
        if let Err(error) = mark(&session, &node, writing, closed).await {
            errors.push(error);
        }
    }
    finish(errors)
}

/// Closes a node to new pods or opens it, and tells.
///
/// # Errors
/// Those of the server.
pub async fn mark(session: &Session, node: &Named, writing: &Writing, closed: bool) -> anyhow::Result<()> {
    let present = node.fetch(session).await?;
    let done = if closed { "cordoned" } else { "uncordoned" };
    let suffix = writing.dry_run.suffix();
    let mut out = anstream::stdout();
    if (present["spec"]["unschedulable"] == true) == closed {
        return Ok(writeln!(out, "{} already {done}{suffix}", node.shown())?);
    }
    if writing.dry_run != DryRun::Client {
        let value = if closed { json!(true) } else { Value::Null };
        let patch = json!({"spec": {"unschedulable": value}});
        let path = format!("{}{}", node.path(), writing.query("kubectl-drain", &[]));
        let kind = "application/strategic-merge-patch+json";
        session.send(Method::PATCH, &path, kind, &patch).await?;
    }
    Ok(writeln!(out, "{} {done}{suffix}", node.shown())?)
}
