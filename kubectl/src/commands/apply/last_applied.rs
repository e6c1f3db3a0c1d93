//! `apply view-last-applied` and `set-last-applied`: what an object remembers of the last `apply`, shown and changed.

use std::io::Write as _;

use anyhow::bail;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::edit::annotation_patch;
use crate::commands::objects::{Files, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Writing};
use crate::print::output::Output;
use crate::print::{gojson, yaml};

/// Arguments of `apply view-last-applied`.
#[derive(Args, Debug)]
pub struct ViewLastApplied {
    /// The objects: pod nginx, pod/nginx.
    #[arg(value_name = "KIND NAME")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// All objects of the kind in the namespace.
    #[arg(long)]
    all: bool,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Yaml,
    Json,
}

/// Arguments of `apply set-last-applied`.
#[derive(Args, Debug)]
pub struct SetLastApplied {
    /// A file, folder or URL with what is to be remembered; may be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<String>,
    /// Let an object remember it that was never applied.
    #[arg(long)]
    create_annotation: bool,
    /// Show what would happen: as the client sees it, or checked by the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// How to show the objects: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
}

impl ViewLastApplied {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let selection = Selection {
            selector: self.selector.clone(),
            all: self.all,
            ..Selection::default()
        };
        let wanted = Wanted {
            words: &self.what,
            files: &self.files,
            selection: &selection,
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        let mut out = anstream::stdout();
        for named in found {
            let object = match named.fetch(&session).await {
                Ok(object) => object,
                Err(failure) => {
                    errors.push(failure.into());
                    continue;
                }
            };
            let Some(applied) = apply::last_applied(&object) else {
                let name = &named.name;
                writeln!(
                    anstream::stderr(),
                    "no last-applied-configuration annotation found on resource: {name}"
                )?;
                continue;
            };
            match self.output {
                Form::Yaml => write!(out, "{}", yaml::document(&applied))?,
                Form::Json => writeln!(out, "{}", gojson::indented_by(&applied, b"  "))?,
            }
        }
        finish(errors)
    }
}

impl SetLastApplied {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let files = Files {
            filename: self.filename,
            recursive: false,
        };
        let (found, errors) = files.find(&session).await?;
        finish(errors)?;
        // Nothing is changed before it is known that all can be.
        let mut changes = Vec::new();
        for named in found {
            let document = named.document.as_ref().expect("every object comes from a file");
            let current = session.get(&named.path()).await?;
            let before = apply::last_applied(&current);
            if before.is_none() && !self.create_annotation {
                bail!(
                    "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the \
                     command with --create-annotation",
                    named.name
                );
            }
            let patch = annotation_patch(&document.object);
            if before.is_some_and(|before| annotation_patch(&before) == patch) {
                writeln!(
                    anstream::stdout(),
                    "set-last-applied {}: no changes required.",
                    named.name
                )?;
            } else {
                changes.push((named, current, patch));
            }
        }
        let writing = Writing {
            dry_run: self.dry_run,
            output: self.output,
            show_managed_fields: self.show_managed_fields,
            ..Writing::default()
        };
        let mut teller = writing.teller();
        for (named, current, patch) in changes {
            let object: Value = if self.dry_run == DryRun::Client {
                current
            } else {
                let path = format!("{}{}", named.path(), writing.query("kubectl-client-side-apply", &[]));
                let kind = "application/merge-patch+json";
                session.send(Method::PATCH, &path, kind, &patch).await?
            };
            teller.tell(&named.resource, &object, "configured")?;
        }
        Ok(())
    }
}
