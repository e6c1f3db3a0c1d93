//! `exec`: run a command in a container, with its exit code as ours.

use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{pod, terminal};
use crate::failure::Failure;

/// Arguments of `exec`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl exec -it nginx -- sh
  minikctl exec nginx -- cat /etc/os-release
  echo hello | minikctl exec -i nginx -c web -- tee /tmp/x")]
pub struct Exec {
    /// The pod: nginx, pod/nginx, or one of service/web.
    #[arg(value_name = "POD")]
    pod: String,
    /// The container, where the pod has several.
    #[arg(short, long)]
    container: Option<String>,
    /// Pass stdin on.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the command a terminal.
    #[arg(short = 't', long)]
    tty: bool,
    /// Say nothing but what the command says.
    #[arg(short, long)]
    quiet: bool,
    /// The command and its arguments, behind --.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.command.is_empty() {
            bail!(
                "you must specify at least one command for the container: `minikctl exec {} -- COMMAND`",
                self.pod
            );
        }
        let session = Session::open(global).await?;
        let pod = pod::find(&session, &self.pod).await?;
        pod::must_be_alive(&pod, "exec into")?;
        let container = if self.quiet {
            pod::choose(&pod, self.container.as_deref())?.0
        } else {
            pod::choose_and_tell(&pod, self.container.as_deref())?
        };
        let tty = self.tty && has_terminal(self.stdin)?;
        let parameters = AttachParams {
            container: Some(container),
            stdin: self.stdin,
            stdout: true,
            // A terminal has one output.
            stderr: !tty,
            tty,
            ..AttachParams::default()
        };
        let pods: Api<Pod> = Api::namespaced(session.kube.clone(), &session.namespace);
        let process = pods.exec(pod::name(&pod), &self.command, &parameters).await;
        let process = process.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
        terminal::join(process, self.stdin, tty).await
    }
}

/// Whether there is a terminal to pass on; says so where the user asked for one in vain.
///
/// # Errors
/// Those of writing to stderr.
pub fn has_terminal(stdin: bool) -> anyhow::Result<bool> {
    if stdin && terminal::stdin_is_terminal() {
        return Ok(true);
    }
    if stdin {
        writeln!(
            anstream::stderr(),
            "Unable to use a TTY - input is not a terminal or the right kind of file"
        )?;
    } else {
        writeln!(
            anstream::stderr(),
            "Unable to use a TTY - container did not allocate one: say -i too"
        )?;
    }
    Ok(false)
}
