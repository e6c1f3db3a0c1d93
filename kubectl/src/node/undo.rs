//! Takes back what the runtime made: pods' processes, network, mounts and cgroups, by the runtime's own records.

use anyhow::Context;
use clap::Parser;

use super::instance::Instance;
use super::supervisor::command::Program;

/// The runtime's command line, read again by the runtime's own rules: its clean-up has to mean the same places.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: minik_runtime::Config,
}

/// Stops every pod of the instance and removes what they were made of, images apart. The runtime must have ended.
///
/// # Errors
/// Those of the runtime's clean-up.
pub(super) async fn pods(instance: &Instance) -> anyhow::Result<()> {
    let arguments = Program::Runtime.arguments(instance, super::host::node_ip());
    let line = Line::try_parse_from(arguments).context("the runtime doesn't know its own command line")?;
    minik_runtime::undo(line.config).await?;
    Ok(())
}
