//! `set`: change one thing of objects that are there. Each verb is a file with a pure edit; `changing` does the rest.

mod env;
mod image;
mod resources;
mod selector;
mod serviceaccount;
mod subject;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::commands::changing::{Changing, Edit};
use crate::commands::objects::{Files, Selection};
use crate::commands::writing::Writing;

/// The verbs of `set`.
#[derive(Subcommand, Debug)]
pub enum SetVerb {
    /// Set and remove environment variables of containers
    Env(env::SetEnv),
    /// Set the images of containers
    Image(image::SetImage),
    /// Set how much containers need and may use
    Resources(resources::SetResources),
    /// Set which pods a service selects
    Selector(selector::SetSelector),
    /// Set as whom pods talk to the API server
    #[command(visible_alias = "sa")]
    Serviceaccount(serviceaccount::SetServiceAccount),
    /// Set to whom a binding gives its role
    Subject(subject::SetSubject),
}

impl SetVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Env(verb) => verb.run(global).await,
            Self::Image(verb) => verb.run(global).await,
            Self::Resources(verb) => verb.run(global).await,
            Self::Selector(verb) => verb.run(global).await,
            Self::Serviceaccount(verb) => verb.run(global).await,
            Self::Subject(verb) => verb.run(global).await,
        }
    }
}

/// The options that all of them have.
#[derive(Args, Clone, Debug, Default)]
struct Setting {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// Change what the file says, without a server.
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    writing: Writing,
}

impl Setting {
    async fn change(&self, global: &Global, words: &[String], failed: &str, edit: &Edit<'_>) -> anyhow::Result<()> {
        let changing = Changing {
            words,
            files: &self.files,
            selection: &self.selection,
            local: self.local,
            writing: &self.writing,
            manager: "kubectl-set",
            failed,
        };
        changing.run(global, edit).await
    }
}
