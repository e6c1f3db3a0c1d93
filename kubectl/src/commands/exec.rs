//! `exec`: run a command in a container, with its exit code as ours.

use anyhow::{anyhow, bail};
use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::streams::Streams;

/// Arguments of `exec`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl exec -it nginx -- sh
  minikctl exec nginx -- cat /etc/os-release
  minikctl exec deploy/web -- date
  echo hello | minikctl exec -i nginx -c web -- tee /tmp/x")]
pub struct Exec {
    /// The pod: nginx, pod/nginx, or one of service/web, deploy/web.
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// What kubectl once took for the command.
    #[arg(hide = true)]
    before_dashes: Vec<String>,
    #[command(flatten)]
    streams: Streams,
    /// The command and its arguments, behind --.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let pod = self.pod.ok_or_else(|| anyhow!("pod or type/name must be specified"))?;
        if !self.before_dashes.is_empty() {
            bail!("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
        }
        if self.command.is_empty() {
            bail!("you must specify at least one command for the container: `minikctl exec {pod} -- COMMAND`");
        }
        let session = Session::open(global).await?;
        let pod = self.streams.pod(&session, &pod, "exec into").await?;
        let container = self.streams.container(&pod)?;
        self.streams.exec(&session, &pod, container, &self.command).await
    }
}
