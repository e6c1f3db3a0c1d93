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

use std::io::Write as _;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::apply::{self, LAST_APPLIED};
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Writing};
use crate::failure::{Exit, Failure};
use crate::manifest::yaml as input;
use crate::print::output::{Output, drop_managed_fields};
use draft::{Draft, Language, without_comments};

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

/// What the editor is opened on, and what becomes of what is saved.
#[derive(Clone, Debug, PartialEq)]
enum Purpose {
    /// The object as it is; changes are patched.
    Live {
        subresource: Option<String>,
        output_patch: bool,
        save_config: bool,
    },
    /// What the object remembers of the last `apply`.
    LastApplied,
    /// What a file says; it is created.
    New { save_config: bool },
}

/// An editing under way.
struct Editing<'a> {
    session: &'a Session,
    purpose: Purpose,
    /// How it is written and told.
    writing: Writing,
    validate: Validate,
    language: Language,
    windows_line_endings: bool,
}

/// An object as it was when the editor opened.
struct Original {
    named: Named,
    object: Value,
}

/// What came of one edited object.
enum Outcome {
    /// It is stored, or needed no change.
    Done,
    /// The server wants something else in it.
    Again(Vec<String>),
    /// The server can't take it now.
    Refused(Failure),
    /// It is gone.
    Gone(Failure),
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

impl Editing<'_> {
    /// Opens the editor until what is saved is stored, or the user gives up.
    async fn run(&self, originals: &[Original]) -> anyhow::Result<()> {
        if originals.is_empty() {
            bail!("edit cancelled, no objects found");
        }
        let draft = Draft::new(self.language, self.windows_line_endings)?;
        let objects: Vec<&Value> = originals.iter().map(|original| &original.object).collect();
        let original = self.language.text(&objects);
        let (mut body, mut reasons) = (original.clone(), Vec::new());
        loop {
            let edited = draft.edit(&format!("{}{body}", self.language.header(&reasons)))?;
            let bare = without_comments(&edited);
            if !reasons.is_empty() && bare == without_comments(&body) {
                return Err(draft.kept(anyhow!("Edit cancelled, no valid changes were saved.")));
            }
            if bare == without_comments(&original) {
                draft.remove();
                writeln!(anstream::stderr(), "Edit cancelled, no changes made.")?;
                return Ok(());
            }
            if bare.trim().is_empty() {
                draft.remove();
                writeln!(anstream::stderr(), "Edit cancelled, saved file was empty.")?;
                return Ok(());
            }
            body = bare;
            reasons = match input::one(&body) {
                Err(problem) => vec![format!("The edited file had a syntax error: {problem}")],
                Ok(edited) => match self.store(originals, edited, &draft).await {
                    Ok(reasons) if reasons.is_empty() => {
                        draft.remove();
                        return Ok(());
                    }
                    Ok(reasons) => reasons,
                    Err(error) => return Err(error),
                },
            };
        }
    }

    /// Sends what was changed; gives the reasons for which the editor has to open again.
    async fn store(&self, originals: &[Original], edited: Value, draft: &Draft) -> anyhow::Result<Vec<String>> {
        let edited = match edited["items"].as_array() {
            Some(items) if edited["kind"] == "List" => items.clone(),
            _ => vec![edited],
        };
        let mut reasons = Vec::new();
        let mut failed = None;
        let several = edited.len() > 1;
        for object in edited {
            let original = match originals {
                [only] if !several => Some(only),
                originals => originals.iter().find(|original| is_of(&original.object, &object)),
            };
            let original = original
                .ok_or_else(|| draft.kept(anyhow!("no original object found for {}", object["metadata"]["name"])))?;
            match self.one(original, &object, draft).await? {
                Outcome::Done => {}
                Outcome::Again(because) => reasons.extend(because),
                Outcome::Refused(failure) => {
                    let problem = match &failure {
                        Failure::Api(status) => status.message.clone(),
                        other => other.to_string(),
                    };
                    let what = format!("{} {:?}", original.named.resource.qualified(), original.named.name);
                    failed = Some(format!(
                        "error: {what} could not be patched: {problem}\nYou can run `minikctl replace -f {}` to try this update again.",
                        draft.file.display()
                    ));
                }
                Outcome::Gone(failure) => {
                    failed = Some(format!(
                        "{failure}\nThe edits you made on deleted resources have been saved to {:?}",
                        draft.file
                    ));
                }
            }
        }
        if let Some(message) = failed {
            writeln!(anstream::stderr(), "{message}")?;
            return Err(Exit(1).into());
        }
        Ok(reasons)
    }

    /// Does with one edited object what it was edited for.
    async fn one(&self, original: &Original, edited: &Value, draft: &Draft) -> anyhow::Result<Outcome> {
        let named = &original.named;
        if self.purpose != Purpose::LastApplied
            && !matches!(self.purpose, Purpose::New { .. })
            && *edited == original.object
        {
            self.writing.teller().tell(&named.resource, edited, "skipped")?;
            return Ok(Outcome::Done);
        }
        if !matches!(self.purpose, Purpose::New { .. }) {
            for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
                if edited.pointer(pointer) != original.object.pointer(pointer) {
                    return Err(draft.kept(anyhow!("At least one of apiVersion, kind and name was changed")));
                }
            }
        }
        let parameters = [("fieldValidation", self.validate.parameter())];
        let query = self.writing.query("kubectl-edit", &parameters);
        let (sent, done) = match &self.purpose {
            Purpose::Live {
                subresource,
                output_patch,
                save_config,
            } => {
                let patch = match save_config {
                    true => apply::patch_of_edit(&original.object, &apply::remembering(edited)),
                    false => apply::patch_of_edit(&original.object, edited),
                };
                if *output_patch {
                    anstream::println!("Patch: {}", patch.body);
                }
                let below = subresource.as_ref().map(|name| format!("/{name}"));
                let path = format!("{}{}{query}", named.path(), below.unwrap_or_default());
                let sent = self.session.send(Method::PATCH, &path, patch.kind, &patch.body).await;
                (sent, "edited")
            }
            Purpose::LastApplied => {
                let patch = annotation_patch(edited);
                let path = format!("{}{query}", named.path());
                let kind = "application/merge-patch+json";
                (self.session.send(Method::PATCH, &path, kind, &patch).await, "edited")
            }
            Purpose::New { save_config } => {
                let object = if *save_config {
                    apply::remembering(edited)
                } else {
                    edited.clone()
                };
                if self.writing.dry_run == DryRun::Client {
                    (Ok(object), "created")
                } else {
                    let path = format!("{}{query}", named.resource.collection(Some(&named.namespace)));
                    let sent = self
                        .session
                        .send(Method::POST, &path, "application/json", &object)
                        .await;
                    (sent, "created")
                }
            }
        };
        match sent {
            Ok(object) => {
                self.writing.teller().tell(&named.resource, &object, done)?;
                Ok(Outcome::Done)
            }
            Err(Failure::Api(status)) if status.code == 422 => {
                let what = format!("{} {:?}", named.resource.qualified(), named.name);
                writeln!(anstream::stderr(), "error: {what} is invalid")?;
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let causes = causes.map(|cause| format!("* {}: {}", cause.field, cause.message));
                let head = format!("{what} was not valid:");
                Ok(Outcome::Again(std::iter::once(head).chain(causes).collect()))
            }
            Err(failure) if matches!(self.purpose, Purpose::New { .. }) => Err(draft.kept(failure.into())),
            Err(failure) if failure.is_not_found() => Ok(Outcome::Gone(failure)),
            Err(failure) => Ok(Outcome::Refused(failure)),
        }
    }
}

/// The patch by which an object remembers another last `apply`.
#[must_use]
pub fn annotation_patch(applied: &Value) -> Value {
    let remembered = apply::remembered(applied);
    json!({"metadata": {"annotations": {LAST_APPLIED: remembered}}})
}

/// Whether an edited object is this one: by its uid, or where it has none by its kind and name. Pure.
fn is_of(original: &Value, edited: &Value) -> bool {
    if original["metadata"]["uid"].is_string() {
        return original["metadata"]["uid"] == edited["metadata"]["uid"];
    }
    ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
        .iter()
        .all(|pointer| original.pointer(pointer) == edited.pointer(pointer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_again() {
        let object = |uid: Value, name: &str| json!({"kind": "A", "metadata": {"uid": uid, "name": name}});
        assert!(is_of(&object(json!("1"), "a"), &object(json!("1"), "b")));
        assert!(!is_of(&object(json!("1"), "a"), &object(json!("2"), "a")));
        assert!(is_of(&object(Value::Null, "a"), &object(Value::Null, "a")));
        assert!(!is_of(&object(Value::Null, "a"), &object(Value::Null, "b")));
    }

    #[test]
    fn what_is_remembered_is_the_whole_text() {
        let patch =
            annotation_patch(&json!({"kind": "A", "metadata": {"annotations": {LAST_APPLIED: "old", "x": "y"}}}));
        let text = patch["metadata"]["annotations"][LAST_APPLIED].as_str().expect("a text");
        assert_eq!(text, "{\"kind\":\"A\",\"metadata\":{\"annotations\":{\"x\":\"y\"}}}\n");
    }
}
