//! `apply`: make objects what files say.
//!
//! Reads every document, asks what the server has, and creates or patches. A bad document costs only itself.

mod forced;
mod last_applied;
pub mod prune;
mod server_side;

use std::io::{self, Write as _};

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use http::Method;
use minik_api::selector::Labels;
use serde_json::{Value, json};

use crate::apply::{self, LAST_APPLIED};
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::edit;
use crate::commands::objects::finish;
pub use crate::commands::objects::place;
use crate::commands::removing::Removing;
use crate::commands::target::query;
pub use crate::commands::writing::DryRun;
use crate::failure::Failure;
use crate::manifest::{self, Document, ManifestError};
use crate::print::output::{self, Output};
use crate::resources::Resource;
use prune::Visited;

/// Arguments of `apply`.
#[derive(Args, Debug, Default)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  minikctl apply -f manifests/nginx.yaml
  minikctl apply -R -f manifests/
  cat pod.yaml | minikctl apply -f -
  minikctl apply -f pod.yaml --dry-run=server -o yaml
  minikctl apply view-last-applied pod/nginx"
)]
pub struct Apply {
    #[command(subcommand)]
    verb: Option<ApplyVerb>,
    /// A file, folder, URL, or - for what is piped in; may be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<String>,
    /// Read folders with what is below them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Show what would happen: as the client sees it, or checked by the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    /// How to show the objects: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Delete what was applied once and stands in no file any more (with -l or --all).
    #[arg(long)]
    prune: bool,
    /// Whatever its labels (with --prune).
    #[arg(long)]
    all: bool,
    /// The kinds that may be pruned: core/v1/ConfigMap; may be repeated.
    #[arg(long, value_name = "GROUP/VERSION/KIND", requires = "prune")]
    prune_allowlist: Vec<String>,
    /// Apply a part of the object that has a path of its own: status (with --server-side).
    #[arg(long, value_name = "NAME", requires = "server_side")]
    subresource: Option<String>,
    /// Let the server merge (server-side apply).
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others manage (with --server-side).
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Delete and create anew what can't be changed.
    #[arg(long, conflicts_with = "server_side")]
    force: bool,
    #[command(flatten)]
    removing: Removing,
    /// Whether the manifest's values go over those that others set since the last apply.
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true)]
    overwrite: Option<bool>,
    /// Whether what the server says about kinds is used for patches (Kubernetes' own kinds need no asking).
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, hide = true)]
    openapi_patch: Option<bool>,
}

/// What `apply` remembers.
#[derive(Subcommand, Debug)]
enum ApplyVerb {
    /// Show what objects remember of the last apply
    #[command(name = "view-last-applied")]
    View(last_applied::ViewLastApplied),
    /// Have objects remember what files say
    #[command(name = "set-last-applied")]
    Set(last_applied::SetLastApplied),
    /// Edit what objects remember of the last apply
    #[command(name = "edit-last-applied")]
    Edit(edit::EditLastApplied),
}

/// What became of an object.
pub struct Done {
    /// `pod/nginx`
    shown: String,
    object: Value,
    what: &'static str,
}

/// What the server has after a step, and what was done.
type Step = anyhow::Result<(Value, &'static str)>;

impl Apply {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self.verb {
            None => self.files(global).await,
            Some(ApplyVerb::View(verb)) => verb.run(global).await,
            Some(ApplyVerb::Set(verb)) => verb.run(global).await,
            Some(ApplyVerb::Edit(verb)) => verb.run(global).await,
        }
    }

    async fn files(self, global: &Global) -> anyhow::Result<()> {
        let documents = manifest::read(&self.filename, self.recursive).await;
        if documents.is_empty() {
            return Err(ManifestError::Empty { verb: "apply" }.into());
        }
        if let Some(at) = documents
            .iter()
            .position(|document| matches!(document, Err(ManifestError::Missing { .. })))
        {
            // A path that is not there is a slip of the pen: nothing is done.
            let mut documents = documents;
            return Err(documents
                .swap_remove(at)
                .expect_err("an error stands at this place")
                .into());
        }
        let selector = self.selector.as_deref().map(Labels::parse).transpose()?;
        if self.prune && selector.is_none() && !self.all {
            bail!(
                "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all \
                 flag. If you did not mean to prune all resources, specify a label selector"
            );
        }
        if self.server_side && self.dry_run == DryRun::Client {
            bail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
        }
        let session = Session::open(global).await?;
        let prunable = if self.prune {
            prune::prunable(&session, &self.prune_allowlist).await?
        } else {
            Vec::new()
        };
        let (mut errors, mut objects, mut applied) = (Vec::new(), Vec::new(), Vec::new());
        for document in documents {
            if let (Some(selector), Ok(document)) = (&selector, &document)
                && !selector.matches(&document.labels())
            {
                continue;
            }
            match self.document(&session, document).await {
                Ok(done) => {
                    self.tell(&done)?;
                    applied.push(Visited::of(&done.object));
                    objects.push(done.object);
                }
                Err(error) if is_fatal(&error) => {
                    errors.push(error);
                    break;
                }
                Err(error) => errors.push(error),
            }
        }
        self.show(objects)?;
        // What can't be applied could look like what is gone from the files.
        finish(errors)?;
        if self.prune {
            self.prune(&session, &prunable, &applied).await?;
        }
        Ok(())
    }

    /// Applies one document.
    ///
    /// # Errors
    /// What is wrong with it, or what the server says.
    pub async fn document(&self, session: &Session, document: Result<Document, ManifestError>) -> anyhow::Result<Done> {
        let mut document = document?;
        let resource = place(session, &mut document).await?;
        let done = if self.server_side {
            self.server_side(session, &resource, &document).await
        } else {
            self.client_side(session, &resource, &document).await
        };
        let (object, what) = done.map_err(|error| with_lines(error, &document))?;
        let shown = resource.named(document.text("/metadata/name"));
        Ok(Done { shown, object, what })
    }

    /// Says what became of an object, where it isn't to be shown itself.
    ///
    /// # Errors
    /// Those of writing.
    pub fn tell(&self, done: &Done) -> io::Result<()> {
        let mut out = anstream::stdout();
        match &self.output {
            None => writeln!(out, "{} {}{}", done.shown, done.what, self.dry_run.suffix()),
            Some(Output::Name) => writeln!(out, "{}", done.shown),
            Some(_) => Ok(()),
        }
    }

    async fn client_side(&self, session: &Session, resource: &Resource, document: &Document) -> Step {
        let (namespace, name) = (document.text("/metadata/namespace"), document.text("/metadata/name"));
        let path = resource.object(namespace, name);
        let current = match session.get(&path).await {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => return self.create(session, resource, document).await,
            Err(failure) => {
                return Err(failure
                    .when("retrieving current configuration of", &document.place())
                    .into());
            }
        };
        let remembers = current["metadata"]["annotations"][LAST_APPLIED].is_string();
        if !remembers {
            writeln!(
                anstream::stderr(),
                "Warning: resource {}/{name} is missing the {LAST_APPLIED} annotation which is required by minikctl \
                 apply. minikctl apply should only be used on resources created declaratively by either minikctl \
                 create --save-config or minikctl apply. The missing annotation will be patched automatically.",
                resource.qualified(),
            )?;
        }
        if !current["metadata"]["deletionTimestamp"].is_null() {
            writeln!(
                anstream::stderr(),
                "Warning: Detected changes to resource {name} which is currently being deleted."
            )?;
        }
        let patch = apply::patch(&document.object, &current);
        if patch.is_empty() || self.dry_run == DryRun::Client {
            let what = if patch.is_empty() { "unchanged" } else { "configured" };
            return Ok((current, what));
        }
        if self.overwrite == Some(false) {
            forced::check_conflicts(&document.object, &current, &patch)?;
        }
        let url = format!("{path}{}", self.parameters("kubectl-client-side-apply"));
        let patched = session.send(Method::PATCH, &url, patch.kind, &patch.body).await;
        if let Err(failure) = &patched
            && self.force
            && matches!(failure.code(), Some(409 | 422))
        {
            return self.anew(session, resource, document, current).await;
        }
        let object = patched.map_err(|failure| failure.when("patching", &document.place()))?;
        // A patch of what is there already, by other words, changes nothing.
        let same = object["metadata"]["resourceVersion"] == current["metadata"]["resourceVersion"];
        let what = if same && self.dry_run == DryRun::None {
            "unchanged"
        } else {
            "configured"
        };
        Ok((object, what))
    }

    async fn create(&self, session: &Session, resource: &Resource, document: &Document) -> Step {
        let mut object = apply::annotated(&document.object);
        drop_nulls(&mut object);
        if self.dry_run == DryRun::Client {
            return Ok((object, "created"));
        }
        let namespace = document.text("/metadata/namespace");
        let url = format!(
            "{}{}",
            resource.collection(Some(namespace)),
            self.parameters("kubectl-client-side-apply")
        );
        let created = session.send(Method::POST, &url, "application/json", &object).await;
        let object = created.map_err(|failure| failure.when("creating", &document.place()))?;
        Ok((object, "created"))
    }

    fn parameters(&self, manager: &str) -> String {
        let manager = self.field_manager.as_deref().unwrap_or(manager);
        let mut parameters = vec![
            ("fieldManager", manager),
            ("fieldValidation", self.validate.parameter()),
        ];
        if self.dry_run == DryRun::Server {
            parameters.push(("dryRun", "All"));
        }
        query(&parameters)
    }

    fn show(&self, mut objects: Vec<Value>) -> anyhow::Result<()> {
        let Some(output) = self.output.as_ref().filter(|output| !matches!(output, Output::Name)) else {
            return Ok(());
        };
        let mut shown = match objects.len() {
            0 => return Ok(()),
            1 => objects.remove(0),
            _ => {
                let mut list = output::list(objects);
                list["metadata"] = json!({});
                list
            }
        };
        if !self.show_managed_fields {
            output::drop_managed_fields(&mut shown);
        }
        output.write(&mut anstream::stdout(), &shown)?;
        Ok(())
    }
}

/// A null in a manifest says that a field is to go; in a new object it says nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Adds the lines of the fields that the server complains about.
fn with_lines(error: anyhow::Error, document: &Document) -> anyhow::Error {
    let Some(failure) = error.downcast_ref::<Failure>() else {
        return error;
    };
    let place = |field: &str| {
        Some(format!(
            "  {}, line {}: {field}",
            document.source,
            document.line_of(field)?
        ))
    };
    let places: Vec<String> = failure.fields().into_iter().filter_map(place).collect();
    if places.is_empty() {
        error
    } else {
        anyhow!("{failure}\n{}", places.join("\n"))
    }
}

/// Whether there is no point in going on with the next document.
fn is_fatal(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(Failure::Refused { .. } | Failure::Tls { .. } | Failure::Unreachable { .. } | Failure::Kubeconfig { .. })
    ) || error.downcast_ref::<Failure>().and_then(Failure::code) == Some(401)
}
