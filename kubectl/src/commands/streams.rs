//! What `exec`, `attach`, `run -it` and `debug` share: whose streams are joined, and how that is set up.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::Value;

use crate::client::Session;
use crate::commands::{duration, pod, terminal};
use crate::failure::Failure;

/// The options that are the same wherever streams are joined.
#[derive(Args, Clone, Debug)]
pub struct Streams {
    /// The container, where the pod has several.
    #[arg(short, long)]
    pub container: Option<String>,
    /// Pass stdin on.
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Use a terminal.
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Say nothing but what the process says.
    #[arg(short, long)]
    pub quiet: bool,
    /// How long to wait until there is a pod that runs.
    #[arg(long, value_parser = duration::parse, default_value = "1m0s", value_name = "DURATION")]
    pub pod_running_timeout: Duration,
}

impl Streams {
    /// The pod that the user's word means, as far as something runs in it.
    ///
    /// # Errors
    /// When it is not there, or has ended.
    pub async fn pod(&self, session: &Session, word: &str, what: &str) -> anyhow::Result<Value> {
        let pod = pod::find(session, word, what, self.pod_running_timeout).await?;
        pod::must_be_alive(&pod, "exec into")?;
        Ok(pod)
    }

    /// The container that the user means; says which one, where that isn't plain.
    ///
    /// # Errors
    /// When the pod has none of that name.
    pub fn container(&self, pod: &Value) -> anyhow::Result<String> {
        if self.quiet {
            return Ok(pod::choose(pod, self.container.as_deref())?.0);
        }
        pod::choose_and_tell(pod, self.container.as_deref())
    }

    /// Runs a command in a container and joins its streams; its exit code becomes ours.
    ///
    /// # Errors
    /// Those of the server, and the command's exit code.
    pub async fn exec(
        &self,
        session: &Session,
        pod: &Value,
        container: String,
        command: &[String],
    ) -> anyhow::Result<()> {
        let tty = self.tty && has_terminal(self.stdin)?;
        // A terminal has one output.
        let parameters = self.parameters(container, tty, !tty);
        let process = api(session, pod).exec(pod::name(pod), command, &parameters).await;
        let process = process.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
        terminal::join(process, self.stdin, tty).await
    }

    /// Joins the streams of a container's main process.
    ///
    /// # Errors
    /// Those of the server, and the process's exit code.
    pub async fn attach(&self, session: &Session, pod: &Value, container: String) -> anyhow::Result<()> {
        let has_tty = pod::container(pod, &container).is_some_and(|spec| spec["tty"] == true);
        if self.tty && !has_tty && !self.quiet {
            writeln!(
                anstream::stderr(),
                "error: Unable to use a TTY - container {container} did not allocate one"
            )?;
        }
        let tty = self.tty && has_tty && has_terminal(self.stdin)?;
        if !self.quiet {
            writeln!(
                anstream::stderr(),
                "If you don't see a command prompt, try pressing enter."
            )?;
        }
        let parameters = self.parameters(container, tty, !has_tty);
        let process = api(session, pod).attach(pod::name(pod), &parameters).await;
        let process = process.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
        terminal::join(process, self.stdin, tty).await
    }

    fn parameters(&self, container: String, tty: bool, stderr: bool) -> AttachParams {
        AttachParams {
            container: Some(container),
            stdin: self.stdin,
            stdout: true,
            stderr,
            tty,
            ..AttachParams::default()
        }
    }
}

/// kube's handle on the pod's namespace.
pub fn api(session: &Session, pod: &Value) -> Api<Pod> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or(&session.namespace);
    Api::namespaced(session.kube.clone(), namespace)
}

/// Whether there is a terminal to pass on; says so where the user asked for one in vain.
fn has_terminal(stdin: bool) -> anyhow::Result<bool> {
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
