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

/// Removes the instance's cgroup, which another container runtime leaves. It stays when pods are still in it: those are that
/// runtime's, and a kubelet that stops leaves them running.
pub(super) fn cgroup(instance: &Instance) {
    use minik_runtime::cgroup::{CgroupPath, detect};
    let path = CgroupPath::parse(instance.cgroup_parent.as_ref());
    let removed = path.and_then(|path| detect()?.remove(&path));
    if let Err(error) = removed {
        tracing::warn!(%error, "leave the node's cgroup: delete its pods before `down` when another runtime runs them");
    }
}
