//! The node: starting, stopping and looking at the processes that make one.
//!
//! ```text
//!   up ─────> doctor (fatal checks) ─> ports ─> pki, kubeconfig ─> supervisor ─> runtime, apiserver, scheduler, kubelet
//!   down ───> supervisor (stop) ─> the runtime's clean-up ─> directories
//!   status ─> supervisor, cluster
//! ```
//!
//! Which node is meant is an [`Instance`]; everything else derives from it. Nothing here knows what a pod is made of: that
//! is the programs' business, which are only started and stopped.

mod cidr;
mod cluster;
mod doctor;
mod down;
mod files;
mod host;
mod instance;
mod invoker;
mod kubeconfig;
mod pki;
mod ports;
mod privilege;
mod progress;
mod status;
pub(crate) mod supervisor;
mod undo;
mod up;

use std::io::Write;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::Global;

pub use instance::{Instance, InstanceError, Overrides};
pub use privilege::require_root;
pub use progress::Progress;
#[allow(unused_imports, reason = "the demo names them once it is there")]
pub use up::{Up, UpError, UpOptions, up};

/// What one does with the node itself.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// Start the node and write its context to your kubeconfig
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Stop pods and programs; the data stays
    Down(DownArgs),
    /// Show how the node is
    Status(StatusArgs),
    /// Find out whether this machine can run a node, and how to repair what is missing
    Doctor(DoctorArgs),
}

const UP_EXAMPLES: &str = "Examples:
  sudo minikctl up                                       # the node `default`, context `minik`
  sudo minikctl up --foreground                          # stay attached: in a container, or as a systemd service
  sudo minikctl up --instance test --api-port 7443       # a second node beside it, context `minik-test`
  sudo minikctl up --registry-mirror docker.io=http://127.0.0.1:5000";

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Stay attached, and stop the node when interrupted
    #[arg(long)]
    foreground: bool,
    /// Make the node's context the current one, even if there is another
    #[arg(long)]
    use_context: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove the data (objects, images, logs, certificates) and the kubeconfig's context, too
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
}

impl NodeVerb {
    /// Does what the user asked for; false: it was done, and what it found isn't well.
    ///
    /// # Errors
    /// Those of the verb, in words for the user.
    pub async fn run(self, global: &Global) -> anyhow::Result<bool> {
        match self {
            Self::Up(arguments) => run_up(arguments, global).await.map(|()| true),
            Self::Down(arguments) => run_down(arguments, global).await.map(|()| true),
            Self::Status(arguments) => {
                let instance = resolve(arguments.overrides, global)?;
                require_root("status", &instance)?;
                let report = status::gather(&instance).await?;
                status::show(&report, arguments.output == Some(Output::Json))?;
                Ok(report.is_well())
            }
            Self::Doctor(arguments) => {
                let instance = resolve(arguments.overrides, global)?;
                let running = supervisor::control::status(&instance.supervisor_socket())
                    .await
                    .ok()
                    .flatten()
                    .is_some();
                let checks = doctor::examine(&instance, running).await;
                Ok(doctor::show(&checks, arguments.output == Some(Output::Json))?)
            }
        }
    }
}

/// The instance that the flags and `MINIK_INSTANCE` name.
fn resolve(overrides: Overrides, global: &Global) -> Result<Instance, InstanceError> {
    let overrides = Overrides {
        kubeconfig: global.kubeconfig.clone(),
        ..overrides
    };
    Instance::resolve(global.instance_name(), &overrides)
}

async fn run_up(arguments: UpArgs, global: &Global) -> anyhow::Result<()> {
    let options = UpOptions {
        instance: resolve(arguments.overrides, global)?,
        use_context: arguments.use_context,
        foreground: arguments.foreground,
    };
    let progress = Progress::new();
    let up = up(&options, &progress).await?;
    progress.finish();
    if options.foreground {
        return Ok(());
    }
    let (context, flag) = (&options.instance.context, options.instance.flag());
    let mut out = anstream::stdout().lock();
    if up.already {
        writeln!(
            out,
            "The node is up already; context \"{context}\" is in {}.",
            up.kubeconfig.display()
        )?;
    } else {
        let took = progress::shown(progress.elapsed());
        writeln!(
            out,
            "The node is up after {took}; context \"{context}\" is in {}.",
            up.kubeconfig.display()
        )?;
        writeln!(out, "Try: minikctl{flag} apply -f manifests/nginx.yaml")?;
    }
    if !up.current {
        writeln!(
            out,
            "Another context is current; to change: kubectl config use-context {context}"
        )?;
    }
    Ok(())
}

async fn run_down(arguments: DownArgs, global: &Global) -> anyhow::Result<()> {
    let instance = resolve(arguments.overrides, global)?;
    let data_dir = instance.data_dir.clone();
    let flag = instance.flag();
    let options = down::DownOptions {
        instance,
        purge: arguments.purge,
    };
    let done = down::down(&options, &Progress::new())
        .await
        .context("the node is not entirely down")?;
    let mut out = anstream::stdout().lock();
    match (done.ran, options.purge) {
        (_, true) => writeln!(out, "The node is gone, with its data.")?,
        (true, false) => writeln!(out, "The node is down; its data is kept in {}.", data_dir.display())?,
        (false, false) => writeln!(out, "The node was not up. To start it: sudo minikctl up{flag}")?,
    }
    Ok(())
}
