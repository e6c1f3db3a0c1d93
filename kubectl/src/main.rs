//! `minikctl`: the one executable. The client verbs are kubectl's; the node's verbs and programs join them here.

mod cli;
mod commands;
mod logging;
mod node;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A single-node Kubernetes: run pods on this machine and see how.
#[derive(Parser)]
#[command(name = "minikctl", version, propagate_version = true)]
struct Minikctl {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    Node(node::NodeVerb),
    #[command(flatten, next_help_heading = "Programs of the node")]
    Program(commands::programs::Program),
}

fn main() -> ExitCode {
    let Minikctl { global, verb } = Minikctl::parse();
    // Fails only when a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match verb {
        Verb::Node(verb) => client(|| async move { verb.run(&global).await }),
        Verb::Program(program) => program.run(global.instance_name()).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a verb of the user's, on one thread.
fn client<F: Future<Output = anyhow::Result<bool>>>(verb: impl FnOnce() -> F) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(verb())
}
