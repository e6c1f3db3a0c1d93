//! `attach`: join the input and output of a container's main process.

use std::io::Write as _;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{exec, pod, terminal};
use crate::failure::Failure;

/// Arguments of `attach`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl attach python
  minikctl attach -it shell")]
pub struct Attach {
    /// The pod: nginx, pod/nginx.
    #[arg(value_name = "POD")]
    pod: String,
    /// The container, where the pod has several.
    #[arg(short, long)]
    container: Option<String>,
    /// Pass stdin on.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// The container has a terminal.
    #[arg(short = 't', long)]
    tty: bool,
    /// Say nothing but what the process says.
    #[arg(short, long)]
    quiet: bool,
}

impl Attach {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let pod = pod::find(&session, &self.pod).await?;
        pod::must_be_alive(&pod, "attach")?;
        let container = pod::choose_and_tell(&pod, self.container.as_deref())?;
        let specs = pod["spec"]["containers"].as_array().into_iter().flatten();
        let has_tty = specs
            .clone()
            .any(|spec| spec["name"] == container.as_str() && spec["tty"] == true);
        if self.tty && !has_tty && !self.quiet {
            writeln!(
                anstream::stderr(),
                "error: Unable to use a TTY - container {container} did not allocate one"
            )?;
        }
        let tty = self.tty && has_tty && exec::has_terminal(self.stdin)?;
        if tty && !self.quiet {
            writeln!(
                anstream::stderr(),
                "If you don't see a command prompt, try pressing enter."
            )?;
        }
        let parameters = AttachParams {
            container: Some(container),
            stdin: self.stdin,
            stdout: true,
            stderr: !has_tty,
            tty,
            ..AttachParams::default()
        };
        let pods: Api<Pod> = Api::namespaced(session.kube.clone(), &session.namespace);
        let process = pods.attach(pod::name(&pod), &parameters).await;
        let process = process.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
        terminal::join(process, self.stdin, tty).await
    }
}
