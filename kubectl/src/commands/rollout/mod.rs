//! `rollout`: how far a change of a deployment, daemon set or stateful set is, what came before, and going back.
//!
//! ```text
//!   status ── watch ──> progress (pure): go on waiting, done, failed
//!   history, undo ───> revisions: the ReplicaSets or ControllerRevisions that the object owns
//!   restart, pause, resume ───> an edit each, sent by `changing`
//! ```

mod edits;
mod history;
mod progress;
mod revisions;
mod status;
mod undo;

use clap::Subcommand;

use crate::cli::Global;

/// The verbs of `rollout`.
#[derive(Subcommand, Debug)]
pub enum RolloutVerb {
    /// Show what a deployment was before
    History(history::History),
    /// Hold a deployment's changes back
    Pause(edits::Pause),
    /// Start all pods anew, a few at a time
    Restart(edits::Restart),
    /// Let a paused deployment's changes go on
    Resume(edits::Resume),
    /// Wait until a change is through
    Status(status::Status),
    /// Go back to what was before
    Undo(undo::Undo),
}

impl RolloutVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::History(verb) => verb.run(global).await,
            Self::Pause(verb) => verb.run(global).await,
            Self::Restart(verb) => verb.run(global).await,
            Self::Resume(verb) => verb.run(global).await,
            Self::Status(verb) => verb.run(global).await,
            Self::Undo(verb) => verb.run(global).await,
        }
    }
}
