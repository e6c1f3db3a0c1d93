//! `auth`: what one may do, and who one is, as the server sees it.

mod can_i;
mod reconcile;
mod rules;
mod whoami;

use clap::Subcommand;

use crate::cli::Global;

/// The verbs of `auth`.
#[derive(Subcommand, Debug)]
pub enum AuthVerb {
    /// Ask whether something is allowed
    CanI(can_i::CanI),
    /// Have roles and bindings be at least what files say
    Reconcile(reconcile::Reconcile),
    /// Show as whom the server knows you
    Whoami(whoami::Whoami),
}

impl AuthVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::CanI(verb) => verb.run(global).await,
            Self::Reconcile(verb) => verb.run(global).await,
            Self::Whoami(verb) => verb.run(global).await,
        }
    }
}
