//! `cluster-info`: where the server is, and whether it answers. `dump` shows all that is in it.

mod dump;

use std::io::Write as _;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::client::Session;
use crate::print::style::{GOOD, STRONG};

/// Arguments of `cluster-info`.
#[derive(Args, Debug)]
pub struct ClusterInfo {
    #[command(subcommand)]
    verb: Option<ClusterInfoVerb>,
}

#[derive(Subcommand, Debug)]
enum ClusterInfoVerb {
    /// Show everything, for those who are to find out what is wrong
    Dump(dump::Dump),
}

impl ClusterInfo {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if let Some(ClusterInfoVerb::Dump(dump)) = self.verb {
            return dump.run(global).await;
        }
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
            "\nTo further debug and diagnose cluster problems, use 'minikctl cluster-info dump'.\n\
             The programs behind it: `minikctl status`. What may be wrong with this machine: `minikctl doctor`."
        )?;
        Ok(())
    }
}
