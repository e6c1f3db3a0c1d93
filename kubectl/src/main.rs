//! `minikctl`: the one executable. The client verbs are kubectl's; the node's verbs and programs join them here.

#![allow(
    unreachable_pub,
    reason = "an executable has no outside that could reach anything; pub says what a module offers"
)]

mod apply;
mod cli;
mod client;
mod commands;
mod demo;
mod describe;
mod explain;
mod failure;
mod flags;
mod image;
mod logging;
mod manifest;
mod node;
mod print;
mod resources;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// A single-node Kubernetes: run pods on this machine and see how.
#[derive(Parser)]
#[command(name = "minikctl", version, propagate_version = true, styles = print::style::HELP)]
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
    #[command(flatten)]
    Client(cli::Verb),
    #[command(flatten, next_help_heading = "Programs of the node")]
    Program(commands::programs::Program),
}

fn main() -> ExitCode {
    if let Some(code) = commands::programs::shim_first() {
        return code;
    }
    if let Some(code) = commands::programs::oci_first() {
        return code;
    }
    everything_else()
}

/// Not a part of `main`: room for all verbs' state would lie on the stack of each shim, and be touched once, for ever.
#[inline(never)]
fn everything_else() -> ExitCode {
    let line = flags::plain(Minikctl::command, std::env::args_os().collect());
    let Minikctl { global, verb } = match Minikctl::try_parse_from(&line) {
        Ok(parsed) => parsed,
        Err(error) => {
            return cli::misunderstood(&error, &Minikctl::command(), &line);
        }
    };
    // Fails only when a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let warnings_fail = global.connection.warnings_as_errors;
    let result = match verb {
        Verb::Node(verb) => on_one_thread(async { verb.run(&global).await }),
        Verb::Client(verb) => on_one_thread(async { verb.run(&global).await.map(|()| true) }),
        Verb::Program(program) => program.run(global.instance_name()),
    };
    match result {
        Ok(_) if warnings_fail && client::warnings() > 0 => {
            let count = client::warnings();
            let plural = if count == 1 { "" } else { "s" };
            failure::report(&anyhow::anyhow!("{count} warning{plural} received"))
        }
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failure::report(&error),
    }
}

/// Runs a verb of the user's, on one thread. What still blocks a thread then (a read of a terminal) is left behind.
fn on_one_thread(verb: impl Future<Output = anyhow::Result<bool>>) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(verb);
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags of all verbs share a line with the global ones: clap finds those that are taken twice.
    #[test]
    fn no_flag_is_taken_twice() {
        Minikctl::command().debug_assert();
    }
}
