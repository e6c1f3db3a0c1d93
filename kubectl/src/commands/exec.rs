//! `exec`: run a command in a container, with its exit code as ours.

use anyhow::bail;
use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::Files;
use crate::commands::pod;
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
    /// A file that names the pod, or what selects it.
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    #[command(flatten)]
    streams: Streams,
    /// The command and its arguments, behind --.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.pod.is_none() && self.filename.is_empty() {
            bail!("pod, type/name or --filename must be specified");
        }
        if !self.before_dashes.is_empty() {
            bail!("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
        }
        if self.command.is_empty() {
            bail!("you must specify at least one command for the container: `minikctl exec POD -- COMMAND`");
        }
        let mut session = Session::open(global).await?;
        let pod = match &self.pod {
            Some(word) => self.streams.pod(&session, word, "exec into").await?,
            None => {
                let files = Files {
                    filename: self.filename,
                    recursive: false,
                };
                let (resource, object) = pod::in_files(&mut session, &files).await?;
                let patience = self.streams.pod_running_timeout;
                let pod = pod::of(&session, &resource, object, "exec into", patience).await?;
                pod::must_be_alive(&pod, "exec into")?;
                pod
            }
        };
        let container = self.streams.container(&pod)?;
        self.streams.exec(&session, &pod, container, &self.command).await
    }
}
