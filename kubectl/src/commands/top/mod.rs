//! `top`: what nodes and pods use, as the metrics API tells (metrics.k8s.io v1 or v1beta1).

mod amounts;
mod node;
mod pod;

use anyhow::bail;
use clap::Subcommand;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Session;
use crate::failure::Failure;

/// The verbs of `top`.
#[derive(Subcommand, Debug)]
pub enum TopVerb {
    /// Show what nodes use
    #[command(visible_aliases = ["nodes", "no"])]
    Node(node::TopNode),
    /// Show what pods use
    #[command(visible_aliases = ["pods", "po"])]
    Pod(pod::TopPod),
}

impl TopVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Node(verb) => verb.run(global).await,
            Self::Pod(verb) => verb.run(global).await,
        }
    }
}

/// The path of the newest metrics API that the server has.
async fn metrics_root(session: &Session) -> anyhow::Result<String> {
    let groups = session.get("/apis").await?;
    let mut groups = groups["groups"].as_array().into_iter().flatten();
    let versions = groups.find(|group| group["name"] == "metrics.k8s.io");
    let versions = versions
        .and_then(|group| group["versions"].as_array())
        .into_iter()
        .flatten();
    let versions: Vec<&str> = versions.filter_map(|version| version["version"].as_str()).collect();
    for known in ["v1", "v1beta1"] {
        if versions.contains(&known) {
            return Ok(format!("/apis/metrics.k8s.io/{known}"));
        }
    }
    bail!("Metrics API not available");
}

/// Asks the metrics API; one that is registered but gone says that it isn't available.
async fn ask(session: &Session, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut answer = match session.get(path).await {
        Err(failure) if failure.code() == Some(503) => bail!("Metrics API not available"),
        other => other.map_err(|failure: Failure| anyhow::Error::from(failure))?,
    };
    match answer["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(vec![answer]),
    }
}
