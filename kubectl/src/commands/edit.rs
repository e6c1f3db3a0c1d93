//! `edit`: objects in the user's editor, and what they changed as patches to the server.
//!
//! What the server refuses comes back into the editor with the reason on top. What the user wrote is never lost: it stays in the
//! file when there is no going on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::target::query;
use crate::commands::writing::Writing;
use crate::failure::{Exit, Failure};
use crate::manifest::yaml as input;
use crate::print::output::drop_managed_fields;
use crate::print::yaml;

/// Arguments of `edit`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl edit pod/nginx
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
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME", default_value = "kubectl-edit")]
    field_manager: String,
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
        let wanted = Wanted {
            words: &self.what,
            files: &self.files,
            selection: &Selection::default(),
            kind_is_enough: true,
        };
        let (found, errors) = wanted.find(&session).await?;
        finish(errors)?;
        let mut originals = Vec::new();
        for named in found {
            let mut object = session.get(&self.path(&named)).await?;
            drop_managed_fields(&mut object);
            originals.push(Original { named, object });
        }
        if originals.is_empty() {
            bail!("edit cancelled, no objects found");
        }
        let draft = Draft::new()?;
        let original = text(&originals);
        let (mut body, mut reasons) = (original.clone(), Vec::new());
        loop {
            let edited = draft.edit(&format!("{}{body}", header(&reasons)))?;
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
                Ok(edited) => match self.store(&session, &originals, edited, &draft).await {
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

    fn path(&self, named: &Named) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", named.path()),
            None => named.path(),
        }
    }

    /// Sends what was changed; gives the reasons for which the editor has to open again.
    async fn store(
        &self,
        session: &Session,
        originals: &[Original],
        edited: Value,
        draft: &Draft,
    ) -> anyhow::Result<Vec<String>> {
        let edited = match edited["items"].as_array() {
            Some(items) if edited["kind"] == "List" => items.clone(),
            _ => vec![edited],
        };
        let mut reasons = Vec::new();
        let mut failed = None;
        for object in edited {
            let of = |original: &&Original| original.object["metadata"]["uid"] == object["metadata"]["uid"];
            let original = originals
                .iter()
                .find(of)
                .ok_or_else(|| draft.kept(anyhow!("no original object found for {}", object["metadata"]["name"])))?;
            match self.patch(session, original, &object, draft).await? {
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

    async fn patch(
        &self,
        session: &Session,
        original: &Original,
        edited: &Value,
        draft: &Draft,
    ) -> anyhow::Result<Outcome> {
        let named = &original.named;
        let writing = Writing::default();
        if *edited == original.object {
            writing.teller().tell(&named.resource, edited, "skipped")?;
            return Ok(Outcome::Done);
        }
        for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
            if edited.pointer(pointer) != original.object.pointer(pointer) {
                return Err(draft.kept(anyhow!("At least one of apiVersion, kind and name was changed")));
            }
        }
        let patch = apply::patch_of_edit(&original.object, edited);
        if self.output_patch {
            anstream::println!("Patch: {}", patch.body);
        }
        let parameters = [
            ("fieldManager", self.field_manager.as_str()),
            ("fieldValidation", self.validate.parameter()),
        ];
        let path = format!("{}{}", self.path(named), query(&parameters));
        match session.send(Method::PATCH, &path, patch.kind, &patch.body).await {
            Ok(object) => {
                writing.teller().tell(&named.resource, &object, "edited")?;
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
            Err(failure) if failure.is_not_found() => Ok(Outcome::Gone(failure)),
            Err(failure) => Ok(Outcome::Refused(failure)),
        }
    }
}

/// What stands above the objects, as comments.
fn header(reasons: &[String]) -> String {
    let mut header = String::from(
        "# Change the object below and save. Lines that begin with a '#' don't count; an empty file\n\
         # changes nothing. What the server refuses comes back here, with the reason.\n#\n",
    );
    for line in reasons.iter().flat_map(|reason| reason.lines()) {
        header.push_str(&format!("# {line}\n"));
    }
    if !reasons.is_empty() {
        header.push_str("#\n");
    }
    header
}

fn text(originals: &[Original]) -> String {
    match originals {
        [one] => yaml::document(&one.object),
        several => {
            let items: Vec<&Value> = several.iter().map(|original| &original.object).collect();
            yaml::document(&json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}))
        }
    }
}

/// The comments that stand at the top are the header's, others the user's: none of them says anything.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The file in the editor.
struct Draft {
    file: PathBuf,
}

impl Draft {
    /// An empty file that is the user's alone.
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), process::id());
        let file = env::temp_dir().join(format!("minikctl-edit-{}.yaml", seed % 10_000_000_000));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let _ = options.open(&file).with_context(|| file.display().to_string())?;
        Ok(Self { file })
    }

    /// What the user makes of a text.
    fn edit(&self, text: &str) -> anyhow::Result<String> {
        fs::write(&self.file, text).with_context(|| self.file.display().to_string())?;
        let editor = editor();
        let status = launch(&editor, &self.file);
        let status = status.with_context(|| format!("unable to launch the editor {editor:?}"))?;
        if !status.success() {
            return Err(self.kept(anyhow!("there was a problem with the editor {editor:?}")));
        }
        fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())
    }

    fn remove(&self) {
        // A file that is left behind harms nobody.
        let _ = fs::remove_file(&self.file);
    }

    fn kept(&self, error: anyhow::Error) -> anyhow::Error {
        // Nothing can be said when stderr is gone.
        let _ = writeln!(
            anstream::stderr(),
            "A copy of your changes has been stored to {:?}",
            self.file
        );
        error
    }
}

fn editor() -> String {
    let named = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    named("KUBE_EDITOR")
        .or_else(|| named("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned())
}

/// The editor may have options of its own, which the shell takes apart.
fn launch(editor: &str, file: &Path) -> std::io::Result<process::ExitStatus> {
    Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_nothing() {
        let text = format!(
            "{}a: 1\n  # mine\nb: 2",
            header(&["x was not valid:".to_owned(), "* y".to_owned()])
        );
        assert!(text.contains("# * y\n"));
        assert_eq!(without_comments(&text), "a: 1\nb: 2\n");
    }
}
