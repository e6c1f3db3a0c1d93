//! `ctr container …`: metadata.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use minik_api::containers::{Container, DeleteRequest, ListRequest};
use serde::Serialize;

use super::Client;
use super::images::write;
use super::run::Options;
use super::tabs::WIDE;

/// The verbs of `ctr container`.
#[derive(Subcommand, Debug)]
pub(super) enum ContainersVerb {
    /// Make a container of an image; nothing runs yet
    Create(Box<Create>),
    /// List containers
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Show all about a container
    Info(Info),
    /// Remove containers whose tasks have ended
    #[command(visible_aliases = ["remove", "delete", "del"])]
    Rm(Rm),
}

#[derive(Args, Debug)]
pub(super) struct Create {
    #[command(flatten)]
    options: Options,
    #[arg(value_name = "REF")]
    image: String,
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// In the place of the image's command.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Ids only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args, Debug)]
pub(super) struct Info {
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// Only its config.json.
    #[arg(long)]
    spec: bool,
}

#[derive(Args, Debug)]
pub(super) struct Rm {
    #[arg(value_name = "CONTAINER", required = true)]
    ids: Vec<String>,
    #[arg(long, hide = true)]
    keep_snapshot: bool,
}

impl ContainersVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Create(verb) => {
                let request = verb.options.request(client, verb.image, verb.id, verb.args)?;
                client.runtime.containers().create(request).await?;
                Ok(())
            }
            Self::Ls(verb) => verb.run(client).await,
            Self::Info(verb) => verb.run(client).await,
            Self::Rm(verb) => verb.run(client).await,
        }
    }
}

impl Client {
    pub(super) async fn containers(&self, id: &str) -> anyhow::Result<Vec<Container>> {
        let request = ListRequest {
            namespace: self.namespace.clone(),
            id: id.to_owned(),
        };
        Ok(self.runtime.containers().list(request).await?.into_inner().containers)
    }
}

impl Ls {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let containers = client.containers("").await?;
        if self.quiet {
            let lines: String = containers
                .iter()
                .map(|container| format!("{}\n", container.id))
                .collect();
            return write(&lines);
        }
        let mut text = "CONTAINER\tIMAGE\tRUNTIME\t\n".to_owned();
        for container in containers {
            let image = if container.image.is_empty() {
                "-"
            } else {
                &container.image
            };
            text.push_str(&format!("{}\t{image}\t{}\t\n", container.id, container.runtime));
        }
        write(&WIDE.format(&text))
    }
}

/// A container as containerd's client writes it down.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    #[serde(rename = "ID")]
    id: String,
    labels: BTreeMap<String, String>,
    image: String,
    runtime: Runtime,
    snapshot_key: String,
    snapshotter: &'static str,
    created_at: String,
    updated_at: String,
    extensions: Option<()>,
    spec: serde_json::Value,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Runtime {
    name: String,
}

impl Info {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let containers = client.containers(&self.id).await?;
        for container in containers {
            let spec: serde_json::Value = serde_json::from_slice(&container.spec).unwrap_or_default();
            if self.spec {
                write(&indented(&spec)?)?;
                continue;
            }
            let time = |nanos: i64| {
                jiff::Timestamp::from_nanosecond(nanos.into()).map_or_else(|_| String::new(), |time| time.to_string())
            };
            write(&indented(&Shown {
                id: container.id,
                labels: container.labels.into_iter().collect(),
                image: container.image,
                runtime: Runtime {
                    name: container.runtime,
                },
                snapshot_key: container.snapshot_key,
                snapshotter: "overlayfs",
                created_at: time(container.created_at),
                updated_at: time(container.updated_at),
                extensions: None,
                spec,
            })?)?;
        }
        Ok(())
    }
}

/// JSON with four blanks a level.
fn indented(value: &impl Serialize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

impl Rm {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let mut failed = None;
        for id in self.ids {
            let request = DeleteRequest {
                namespace: client.namespace.clone(),
                id,
                ..DeleteRequest::default()
            };
            if let Err(status) = client.runtime.containers().delete(request).await {
                failed.get_or_insert(status);
            }
        }
        failed.map_or(Ok(()), |status| Err(status.into()))
    }
}
