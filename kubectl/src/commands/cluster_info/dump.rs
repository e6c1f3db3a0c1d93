//! `cluster-info dump`: what there is and what it printed, for those who are to find out what is wrong.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use futures::AsyncReadExt as _;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::pod;
use crate::failure::Failure;
use crate::print::output::Output;
use crate::resources::Resource;

/// What is dumped of each namespace, and the file's name.
const KINDS: [(&str, &str); 7] = [
    ("events", "events"),
    ("replicationcontrollers", "replication-controllers"),
    ("services", "services"),
    ("daemonsets.apps", "daemonsets"),
    ("deployments.apps", "deployments"),
    ("replicasets.apps", "replicasets"),
    ("pods", "pods"),
];

/// Arguments of `cluster-info dump`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl cluster-info dump
  minikctl cluster-info dump --output-directory=state -A")]
pub struct Dump {
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Of these namespaces; otherwise of the present one and kube-system.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    namespaces: Vec<String>,
    /// Where to; - or nothing means stdout.
    #[arg(long, value_name = "FOLDER")]
    output_directory: Option<PathBuf>,
    /// json or yaml.
    #[arg(short, long, default_value = "json")]
    output: Output,
}

impl Dump {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let nodes = session.called("nodes").await?.remove(0);
        let list = listed(&session, &nodes, None).await?;
        self.put("nodes", &list)?;
        for namespace in self.of(&session).await? {
            let mut pods = Value::Null;
            for (kind, file) in KINDS {
                let Ok(mut found) = session.called(kind).await else {
                    // Not every server has every kind.
                    continue;
                };
                let list = listed(&session, &found.remove(0), Some(&namespace)).await?;
                self.put(&format!("{namespace}/{file}"), &list)?;
                if kind == "pods" {
                    pods = list;
                }
            }
            for pod in pods["items"].as_array().into_iter().flatten() {
                self.logs(&session, &namespace, pod).await?;
            }
        }
        if let Some(folder) = self.folder() {
            writeln!(anstream::stdout(), "Cluster info dumped to {}", folder.display())?;
        }
        Ok(())
    }

    async fn of(&self, session: &Session) -> anyhow::Result<Vec<String>> {
        if self.all_namespaces {
            let resource = session.called("namespaces").await?.remove(0);
            let list = session.get(&resource.collection(None)).await?;
            let items = list["items"].as_array().into_iter().flatten();
            return Ok(items.map(|item| pod::name(item).to_owned()).collect());
        }
        if !self.namespaces.is_empty() {
            return Ok(self.namespaces.clone());
        }
        let mut names = vec!["kube-system".to_owned(), session.namespace.clone()];
        names.dedup();
        Ok(names)
    }

    fn folder(&self) -> Option<&PathBuf> {
        self.output_directory
            .as_ref()
            .filter(|folder| !folder.as_os_str().is_empty() && folder.as_os_str() != "-")
    }

    fn put(&self, name: &str, value: &Value) -> anyhow::Result<()> {
        let extension = match self.output {
            Output::Yaml => "yaml",
            _ => "json",
        };
        let mut text = Vec::new();
        self.output.write(&mut text, value)?;
        self.write(&format!("{name}.{extension}"), &text)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(folder) = self.folder() else {
            return Ok(anstream::stdout().write_all(bytes)?);
        };
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    }

    async fn logs(&self, session: &Session, namespace: &str, pod: &Value) -> anyhow::Result<()> {
        let name = pod::name(pod);
        let mut text = Vec::new();
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        for container in containers.filter_map(|container| container["name"].as_str()) {
            writeln!(
                text,
                "==== START logs for container {container} of pod {namespace}/{name} ===="
            )?;
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}");
            match session.stream(&path).await {
                Ok(mut stream) => {
                    stream.read_to_end(&mut text).await?;
                }
                Err(Failure::Api(status)) => writeln!(text, "Request log error: {}", status.message)?,
                Err(failure) => return Err(failure.into()),
            }
            writeln!(
                text,
                "==== END logs for container {container} of pod {namespace}/{name} ===="
            )?;
        }
        self.write(&format!("{namespace}/{name}/logs.txt"), &text)
    }
}

/// A list with its kind first, as kubectl dumps it.
async fn listed(session: &Session, resource: &Resource, namespace: Option<&str>) -> anyhow::Result<Value> {
    let mut list = session.get(&resource.collection(namespace)).await?;
    list["kind"] = json!(format!("{}List", resource.kind));
    list["apiVersion"] = json!(resource.api_version());
    crate::print::output::drop_managed_fields(&mut list);
    Ok(list)
}
