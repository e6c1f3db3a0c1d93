//! `edit`: objects in the user's editor, and what they changed to the server. `create --edit` and `apply edit-last-applied` open
//! the editor on something else, and do something else with what is saved; the rest is the same.
//!
//! ```text
//!   objects ─> draft ─> editor ─> what changed ─┬─ live         ─> patch
//!                 ^                             ├─ last applied ─> patch of the annotation
//!                 └──── refused, with reasons ──┴─ new          ─> create
//! ```
//! What the user wrote is never lost: it stays in the file when there is no going on.

mod draft;
mod editing;

use anyhow::anyhow;
use clap::Args;

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Writing};
use crate::print::output::{Output, drop_managed_fields};
use draft::Language;
pub use editing::annotation_patch;
use editing::{Editing, Original, Purpose};

/// Arguments of `edit`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl edit pod/nginx
  minikctl edit deploy/web -o json
  KUBE_EDITOR=nano minikctl edit configmap settings")]
pub struct Edit {
    /// The objects: pod nginx, pod/nginx.
    #[arg(value_name = "KIND NAME")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Edit a part of the object that has a path of its own: status.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Show the patch that is sent.
    #[arg(long)]
    output_patch: bool,
    /// Have the object remember what is saved, so that `apply` can change it later.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true)]
    save_config: bool,
    #[command(flatten)]
    editor: EditorFlags,
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME", default_value = "kubectl-edit")]
    field_manager: String,
}

/// `-o` and what else says how the editor is used.
#[derive(Args, Clone, Debug, Default)]
struct EditorFlags {
    /// The language to edit in, and to show the objects in afterwards: yaml, json.
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
    /// Write the file with the line endings of Windows.
    #[arg(long)]
    windows_line_endings: bool,
}

/// Arguments of `apply edit-last-applied`.
#[derive(Args, Debug)]
pub struct EditLastApplied {
    /// The objects: pod nginx, pod/nginx.
    #[arg(value_name = "KIND NAME")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    editor: EditorFlags,
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME", default_value = "kubectl-client-side-apply")]
    field_manager: String,
}

impl Edit {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let mut originals = Vec::new();
        for named in find(&session, &self.what, &self.files).await? {
            let below = self.subresource.as_ref().map(|name| format!("/{name}"));
            let mut object = session
                .get(&format!("{}{}", named.path(), below.unwrap_or_default()))
                .await?;
            if !self.editor.show_managed_fields {
                drop_managed_fields(&mut object);
            }
            originals.push(Original { named, object });
        }
        let purpose = Purpose::Live {
            subresource: self.subresource,
            output_patch: self.output_patch,
            save_config: self.save_config,
        };
        let editing = self
            .editor
            .editing(&session, purpose, self.validate, self.field_manager)?;
        editing.run(&originals).await
    }
}

impl EditLastApplied {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let mut originals = Vec::new();
        for named in find(&session, &self.what, &self.files).await? {
            let current = session.get(&named.path()).await?;
            let object = apply::last_applied(&current).ok_or_else(|| {
                anyhow!(
                    "no last-applied-configuration annotation found on resources, to create the annotation, use command \
                     `minikctl apply set-last-applied --create-annotation`"
                )
            })?;
            originals.push(Original { named, object });
        }
        let editing = self
            .editor
            .editing(&session, Purpose::LastApplied, self.validate, self.field_manager)?;
        editing.run(&originals).await
    }
}

/// `create --edit`: has the user edit what files say before it is created.
///
/// # Errors
/// Those of editing and creating.
pub async fn before_creating(
    session: &Session,
    new: Vec<Named>,
    save_config: bool,
    validate: Validate,
    windows_line_endings: bool,
    writing: &Writing,
) -> anyhow::Result<()> {
    let originals = new.into_iter().filter_map(|named| {
        let object = named.document.as_ref()?.object.clone();
        Some(Original { named, object })
    });
    let writing = Writing {
        field_manager: writing.field_manager.clone().or(Some("kubectl-create".to_owned())),
        ..writing.clone()
    };
    let editing = Editing {
        session,
        purpose: Purpose::New { save_config },
        language: language(writing.output.as_ref()),
        writing,
        validate,
        windows_line_endings,
    };
    editing.run(&originals.collect::<Vec<_>>()).await
}

async fn find(session: &Session, words: &[String], files: &Files) -> anyhow::Result<Vec<Named>> {
    let wanted = Wanted {
        words,
        files,
        selection: &Selection::default(),
        kind_is_enough: true,
    };
    let (found, errors) = wanted.find(session).await?;
    finish(errors)?;
    Ok(found)
}

/// The language to edit in, by how the objects are to be shown.
fn language(output: Option<&Output>) -> Language {
    match output {
        Some(Output::Json) => Language::Json,
        _ => Language::Yaml,
    }
}

impl EditorFlags {
    fn editing(
        self,
        session: &Session,
        purpose: Purpose,
        validate: Validate,
        field_manager: String,
    ) -> anyhow::Result<Editing<'_>> {
        Ok(Editing {
            session,
            purpose,
            language: language(self.output.as_ref()),
            writing: Writing {
                dry_run: DryRun::None,
                field_manager: Some(field_manager),
                output: self.output,
                show_managed_fields: self.show_managed_fields,
            },
            validate,
            windows_line_endings: self.windows_line_endings,
        })
    }
}
