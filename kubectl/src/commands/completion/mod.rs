//! `completion`: scripts for shells, and the hidden `__complete` that they call at each tab.
//!
//! ```text
//!   shell ── words so far ──> __complete ── wanted (pure): verbs, flags, or what of the cluster ──> candidates, one a line
//! ```
//! A line is `candidate<TAB>description`; the scripts only hand them on, so that all shells complete alike.

mod ask;
mod wanted;

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, CommandFactory as _, ValueEnum};

use crate::cli::Global;

/// A tab that takes longer than this is no help.
const PATIENCE: Duration = Duration::from_secs(3);

/// Arguments of `completion`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  source <(minikctl completion bash)                                   # this shell
  minikctl completion bash > /etc/bash_completion.d/minikctl           # every bash
  minikctl completion zsh > \"${fpath[1]}/_minikctl\"                    # every zsh
  minikctl completion fish > ~/.config/fish/completions/minikctl.fish  # every fish")]
pub struct Completion {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `__complete`.
#[derive(Args, Debug)]
pub struct Complete {
    /// The words behind the program's name, the last of them half written.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Completion {
    pub fn run(self) -> anyhow::Result<()> {
        let script = match self.shell {
            Shell::Bash => include_str!("minikctl.bash"),
            Shell::Zsh => include_str!("minikctl.zsh"),
            Shell::Fish => include_str!("minikctl.fish"),
        };
        Ok(anstream::stdout().write_all(script.as_bytes())?)
    }
}

impl Complete {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let command = crate::Minikctl::command();
        let wanted = wanted::of(&command, &self.words);
        let candidates = tokio::time::timeout(PATIENCE, ask::candidates(global, &self.words, wanted)).await;
        let mut out = anstream::stdout();
        // Nobody at a tab wants to read why there is nothing.
        for (candidate, about) in candidates.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default() {
            if about.is_empty() {
                writeln!(out, "{candidate}")?;
            } else {
                writeln!(out, "{candidate}\t{about}")?;
            }
        }
        Ok(())
    }
}
