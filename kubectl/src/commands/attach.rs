//! `attach`: join the input and output of a container's main process.

use anyhow::anyhow;
use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::streams::Streams;

/// Arguments of `attach`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl attach python
  minikctl attach deploy/web
  minikctl attach -it shell")]
pub struct Attach {
    /// The pod: nginx, pod/nginx, or one of service/web, deploy/web.
    #[arg(value_name = "POD")]
    pod: Option<String>,
    #[command(flatten)]
    streams: Streams,
}

impl Attach {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let pod = self
            .pod
            .ok_or_else(|| anyhow!("at least 1 argument is required for attach"))?;
        let session = Session::open(global).await?;
        let pod = self.streams.pod(&session, &pod, "attach to").await?;
        let container = self.streams.container(&pod)?;
        self.streams.attach(&session, &pod, container).await
    }
}
