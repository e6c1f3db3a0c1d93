//! What the verbs that change objects share: dry runs, whose fields they are, and telling what was done.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::commands::target::query;
use crate::print::output::{self, Output};
use crate::resources::Resource;

/// How much of it is for real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// All of it.
    #[default]
    None,
    /// Nothing is sent.
    Client,
    /// The server does everything but store it.
    Server,
}

impl DryRun {
    /// Behind a message.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// `--dry-run`, `--field-manager`, `-o`, `--show-managed-fields`.
#[derive(Args, Clone, Debug, Default)]
pub struct Writing {
    /// Show what would happen: as the client sees it, or checked by the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub dry_run: DryRun,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME")]
    pub field_manager: Option<String>,
    /// How to show the objects: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    pub output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    pub show_managed_fields: bool,
}

impl Writing {
    /// The query of a write, with further parameters.
    #[must_use]
    pub fn query(&self, manager: &str, further: &[(&str, &str)]) -> String {
        let mut parameters = vec![("fieldManager", self.field_manager.as_deref().unwrap_or(manager))];
        if self.dry_run == DryRun::Server {
            parameters.push(("dryRun", "All"));
        }
        parameters.extend(further);
        query(&parameters)
    }

    /// What tells of objects, one after another.
    #[must_use]
    pub fn teller(&self) -> Teller<'_> {
        Teller {
            writing: self,
            shown: 0,
        }
    }
}

/// Tells of each object what was done to it, or shows the object where the user wants that.
#[derive(Debug)]
pub struct Teller<'a> {
    writing: &'a Writing,
    shown: usize,
}

impl Teller<'_> {
    /// `pod/nginx patched`, or what `-o` asks for.
    ///
    /// # Errors
    /// Those of writing.
    pub fn tell(&mut self, resource: &Resource, object: &Value, what: &str) -> io::Result<()> {
        let mut out = anstream::stdout();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match &self.writing.output {
            None => writeln!(out, "{} {what}{}", resource.named(name), self.writing.dry_run.suffix())?,
            Some(Output::Name) => writeln!(out, "{}", resource.named(name))?,
            Some(output) => {
                let mut object = object.clone();
                if !self.writing.show_managed_fields {
                    output::drop_managed_fields(&mut object);
                }
                if self.shown > 0 && matches!(output, Output::Yaml) {
                    writeln!(out, "---")?;
                }
                output.write(&mut out, &object)?;
            }
        }
        self.shown += 1;
        Ok(())
    }
}
