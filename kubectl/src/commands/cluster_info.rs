//! `cluster-info`: where the server is, and whether it answers.

use std::io::Write as _;

use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::print::style::{GOOD, STRONG};

/// Arguments of `cluster-info`.
#[derive(Args, Debug)]
pub struct ClusterInfo {}

impl ClusterInfo {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        session.get("/version").await?;
        let (good, strong) = (GOOD.render(), STRONG.render());
        let (end, server) = (GOOD.render_reset(), &session.server);
        let mut out = anstream::stdout();
        writeln!(
            out,
            "{good}Kubernetes control plane{end} is running at {strong}{server}{end}"
        )?;
        writeln!(
            out,
            "\nThe programs behind it: `minikctl status`. What may be wrong with this machine: `minikctl doctor`."
        )?;
        Ok(())
    }
}
