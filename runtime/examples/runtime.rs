//! The runtime by hand, without the rest of minik: `runtime …` serves the CRI, `shim …` is what it starts for each pod,
//! `undo …` removes what a runtime with the same options left. The tests of this crate start it, too.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use minik_runtime::Config;
use minik_runtime::shim::ShimConfig;

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Serve the CRI
    Runtime(Box<Config>),
    /// Own one pod's namespaces and containers; started by the runtime
    Shim {
        /// The sandbox's directory
        #[arg(long)]
        sandbox: PathBuf,
    },
    /// Stop all pods and remove what they need of the node
    Undo(Box<Config>),
}

fn main() -> ExitCode {
    if let Some(line) = minik_runtime::oci::command::meant(std::env::args().collect()) {
        return minik_runtime::oci::command::main(&line);
    }
    let ended = match Command::parse().what {
        // No async runtime and no log: a shim is small.
        What::Shim { sandbox } => return minik_runtime::shim::main(&ShimConfig { sandbox_dir: sandbox }),
        What::Runtime(config) => block_on(minik_runtime::run(*config)),
        What::Undo(config) => block_on(minik_runtime::undo(*config)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {}", minik_runtime::images::error::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// One thread is enough: what blocks runs on threads that come and go.
fn block_on(run: impl Future<Output = Result<(), minik_runtime::Error>>) -> Result<(), minik_runtime::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("the kernel gives a process its first epoll descriptor")
        .block_on(run)
}
