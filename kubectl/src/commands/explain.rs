//! `explain`: what a kind's fields mean.

use anyhow::{anyhow, bail};
use clap::Args;
use std::io::Write as _;

use crate::cli::Global;
use crate::client::Session;
use crate::explain::{self, Question};
use crate::resources::Resource;

/// Arguments of `explain`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl explain pods
  minikctl explain pod.spec.containers
  minikctl explain deployments --api-version=apps/v1 --recursive")]
pub struct Explain {
    /// The kind, and the way to the field: pod.spec.containers.
    #[arg(value_name = "KIND[.FIELD ...]")]
    what: String,
    /// Show all fields below, one a line.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    recursive: bool,
    /// The group and version of the kind, where there are several: apps/v1.
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
    /// How to lay it out.
    #[arg(short, long, value_parser = ["plaintext"], default_value = "plaintext", hide_default_value = true)]
    output: String,
}

impl Explain {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let mut words = self.what.trim_end_matches('.').split('.');
        let kind = words.next().unwrap_or_default();
        let fields: Vec<&str> = words.collect();
        let resource = self.resource(&session, kind).await?;
        let name = match resource.group.as_str() {
            "" => format!("api/{}", resource.version),
            group => format!("apis/{group}/{}", resource.version),
        };
        let index = session.get("/openapi/v3").await?;
        let path = index["paths"][&name]["serverRelativeURL"].as_str();
        let path = path.ok_or_else(|| {
            anyhow!(
                "couldn't find resource for {:?}: the server describes no {name}",
                self.what
            )
        })?;
        let document = session.get(path).await?;
        let question = Question {
            group: &resource.group,
            version: &resource.version,
            kind: &resource.kind,
            fields: &fields,
            recursive: self.recursive,
        };
        let page = explain::explain(&document, &question)?;
        anstream::stdout().write_all(page.as_bytes())?;
        Ok(())
    }

    async fn resource(&self, session: &Session, kind: &str) -> anyhow::Result<Resource> {
        let found = session.called(kind).await?;
        let first = found
            .into_iter()
            .next()
            .ok_or_else(|| anyhow!("no such kind: {kind:?}"))?;
        match &self.api_version {
            None => Ok(first),
            Some(api_version) => match session.serving(api_version, &first.kind).await? {
                Some(resource) => Ok(resource),
                None => bail!("couldn't find resource for {api_version}, Resource={kind}"),
            },
        }
    }
}
