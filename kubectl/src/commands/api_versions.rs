//! `api-versions`: the groups and versions that the server has.

use std::io::Write as _;

use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::resources::Resources;

/// Arguments of `api-versions`.
#[derive(Args, Debug)]
pub struct ApiVersions {}

impl ApiVersions {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let resources = Resources::fetch(&session).await?;
        let mut versions: Vec<String> = resources.all().iter().map(|resource| resource.api_version()).collect();
        versions.sort();
        versions.dedup();
        let mut out = anstream::stdout().lock();
        for version in versions {
            writeln!(out, "{version}")?;
        }
        Ok(())
    }
}
