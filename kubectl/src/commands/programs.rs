//! The programs of a node, each a subcommand that can be started by hand: `minikctl kubelet --help`.
//!
//! `up` has its supervisor start them. Each gets the smallest asynchronous runtime that does its work, its own name in `ps`,
//! and its logs on stderr.

use std::ffi::CString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tokio::runtime;

use crate::logging::{self, LogLevel};
use crate::node::{Instance, Overrides, supervisor};

/// A process of the node.
#[derive(Debug, Subcommand)]
pub enum Program {
    /// Keep a node's programs running (started by `up`)
    #[command(hide = true)]
    Supervisor(Supervisor),
    /// Store and serve objects: the one door to the cluster's state (a program of the node)
    Apiserver(With<minik_apiserver::Config>),
    /// Decide which node each pod runs on (a program of the node)
    Scheduler(With<minik_scheduler::Config>),
    /// Collect garbage and empty namespaces that are deleted (a program of the node)
    Controllers(With<minik_controllers::Config>),
    /// Run the pods that are bound to this node (a program of the node)
    Kubelet(With<minik_kubelet::Config>),
    /// Pull images and run containers, by the Container Runtime Interface (a program of the node)
    Runtime(With<minik_runtime::Config>),
    /// Run containers from bundles with the command line of runc (also as a link named minirunc): `oci --help`
    #[command(disable_help_flag = true)]
    Oci {
        /// What runc takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<String>,
    },
    /// Own one pod's namespaces and containers (started by the runtime)
    #[command(hide = true)]
    Shim {
        /// The sandbox's directory, with its `sandbox.json`
        #[arg(long, value_name = "DIR")]
        sandbox: PathBuf,
    },
}

/// A program's own arguments, and those of all programs.
#[derive(Debug, Args)]
pub struct With<C: Args> {
    #[command(flatten)]
    config: C,
    #[command(flatten)]
    logs: Logs,
}

/// Arguments of the supervisor, besides the instance's name.
#[derive(Debug, Args)]
pub struct Supervisor {
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    logs: Logs,
}

/// What all programs understand.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub struct Logs {
    /// How much to log to stderr
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", env = "MINIK_LOG_LEVEL")]
    log_level: LogLevel,
}

impl Program {
    /// Runs the program until it is told to end.
    ///
    /// # Errors
    /// Those of the program.
    pub fn run(self, instance_name: &str) -> anyhow::Result<bool> {
        match self {
            Self::Supervisor(arguments) => {
                begin("supervisor", arguments.logs)?;
                let instance = Instance::resolve(instance_name, &arguments.overrides)?;
                // A session of its own: it outlives the terminal that `up` was typed in, and hears none of its signals.
                nix::unistd::setsid().context("cannot leave the terminal's session")?;
                single_threaded()?.block_on(supervisor::run_detached(instance))?;
                Ok(true)
            }
            Self::Apiserver(With { config, logs }) => {
                begin("apiserver", logs)?;
                single_threaded()?.block_on(minik_apiserver::run(config))?;
                Ok(true)
            }
            Self::Kubelet(With { config, logs }) => {
                begin("kubelet", logs)?;
                single_threaded()?.block_on(minik_kubelet::run(config))?;
                Ok(true)
            }
            Self::Runtime(With { config, logs }) => {
                begin("runtime", logs)?;
                single_threaded()?.block_on(minik_runtime::run(config))?;
                Ok(true)
            }
            Self::Scheduler(With { config, logs }) => {
                begin("scheduler", logs)?;
                single_threaded()?.block_on(minik_scheduler::run(config))?;
                Ok(true)
            }
            Self::Controllers(With { config, logs }) => {
                begin("controllers", logs)?;
                single_threaded()?.block_on(minik_controllers::run(config))?;
                Ok(true)
            }
            // Only what stands between the program and `oci`, which nothing may, leads here.
            Self::Oci { line } => Ok(minik_runtime::oci::command::main(&line) == ExitCode::SUCCESS),
            Self::Shim { sandbox } => Ok(shim(sandbox) == ExitCode::SUCCESS),
        }
    }
}

/// A shim is started for each pod and stays as small as can be: exactly the command line that the runtime gives it is taken
/// here, before anything else is set up. Everything else, `--help` among it, goes the usual way.
#[must_use]
pub fn shim_first() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (verb, flag, sandbox_dir) = (arguments.next()?, arguments.next()?, arguments.next()?);
    (verb == "shim" && flag == "--sandbox" && arguments.next().is_none()).then(|| shim(sandbox_dir.into()))
}

/// The OCI runtime has a command line of its own, and starts a container in milliseconds; so it, too, comes before all else.
#[must_use]
pub fn oci_first() -> Option<ExitCode> {
    let line = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    minik_runtime::oci::command::meant(line).map(|line| minik_runtime::oci::command::main(&line))
}

fn shim(sandbox_dir: PathBuf) -> ExitCode {
    minik_runtime::shim::main(&minik_runtime::shim::ShimConfig { sandbox_dir })
}

/// What every program does first: its name for `ps`, its logs, and the promise to end with its supervisor.
fn begin(name: &'static str, logs: Logs) -> anyhow::Result<()> {
    logging::start(name, logs.log_level);
    let comm = CString::new(name).expect("names of programs have no zero byte");
    prctl::set_name(&comm).context("cannot take the program's name")?;
    if let Some(supervisor) = supervisor::parent_variable() {
        // Otherwise a killed supervisor would leave programs behind that hold the ports of those started next.
        prctl::set_pdeathsig(Signal::SIGTERM).context("cannot ask to be told of the supervisor's end")?;
        // It may have ended before that call: then nobody will tell.
        anyhow::ensure!(
            nix::unistd::getppid().as_raw() == supervisor,
            "the supervisor has ended"
        );
        supervisor::hold_programs_lock().context("cannot lock what tells that this program runs")?;
    }
    Ok(())
}

/// One thread is enough for whoever mostly waits; blocking work (the disk) has its own few.
fn single_threaded() -> anyhow::Result<runtime::Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(8).thread_name("blocking");
    builder.build().context("cannot set up the asynchronous runtime")
}
