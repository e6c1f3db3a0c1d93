//! `minikctl`: the one executable. The client verbs are kubectl's; the node's verbs and programs join them here.

mod apply;
mod cli;
mod client;
mod commands;
mod describe;
mod failure;
mod manifest;
mod print;
mod resources;

use std::process::ExitCode;

use clap::Parser;

/// A single-node Kubernetes: run pods on this machine and see how.
#[derive(Parser)]
#[command(name = "minikctl", version, styles = print::style::HELP)]
struct Minikctl {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    verb: cli::Verb,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Minikctl { global, verb } = Minikctl::parse();
    match verb.run(&global).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
