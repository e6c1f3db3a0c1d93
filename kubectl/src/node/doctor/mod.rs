//! `minikctl doctor`: what of this machine a node needs, what is missing, what breaks by it, and the command that repairs it.
//!
//! ```text
//!   gather, trials, registry (effects) ──> Facts (plain data) ──> checks, wsl (pure) ──> Check ──> print
//! ```
//!
//! What the kernel can do is found out by doing it, in namespaces of a thread that ends right after: configurations of
//! kernels aren't to be had everywhere, and what a security module forbids stands in none. `up` runs the fatal checks only.

mod checks;
mod facts;
mod gather;
mod print;
mod registry;
#[cfg(test)]
mod tests;
mod trials;
mod wsl;

use serde::Serialize;

use super::instance::Instance;
use checks::decide;
pub(super) use print::explain;

/// How it stands with one thing that the node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The node works, something is worse or missing.
    Warn,
    /// No node without it.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at, e.g. `overlayfs`.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What doesn't work because of it; empty when all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub breaks: String,
    /// The command, or the line of a file, that repairs it; empty when there is none or nothing to repair.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repair: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            found: found.into(),
            verdict: Verdict::Ok,
            breaks: String::new(),
            repair: String::new(),
        }
    }

    fn warn(
        name: &'static str,
        found: impl Into<String>,
        breaks: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self {
            name,
            found: found.into(),
            verdict: Verdict::Warn,
            breaks: breaks.into(),
            repair: repair.into(),
        }
    }

    fn fatal(
        name: &'static str,
        found: impl Into<String>,
        breaks: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fatal,
            ..Self::warn(name, found, breaks, repair)
        }
    }
}

/// Everything that can be told about this machine, the registry included; takes as long as the registry lets it.
pub(super) async fn examine(instance: &Instance, running: bool) -> Vec<Check> {
    let local = {
        let instance = instance.clone();
        tokio::task::spawn_blocking(move || gather::everything(&instance, running))
    };
    let (local, mut registries) = tokio::join!(local, registry::examine(instance));
    let facts = local.expect("gathering facts doesn't panic");
    let mut checks = decide(&facts);
    checks.append(&mut registries);
    checks
}

/// What keeps a node from running here at all: a few milliseconds, nothing leaves the machine.
pub(super) fn fatal_failures(instance: &Instance) -> Vec<Check> {
    let facts = gather::kernel(instance);
    decide(&facts)
        .into_iter()
        .filter(|check| check.verdict == Verdict::Fatal)
        .collect()
}

/// Shows the checks; returns whether a node can run.
///
/// # Errors
/// Those of writing to stdout.
pub(super) fn show(checks: &[Check], json: bool) -> std::io::Result<bool> {
    if json {
        print::json(checks)?;
    } else {
        print::table(checks)?;
    }
    Ok(checks.iter().all(|check| check.verdict != Verdict::Fatal))
}
