//! An editing under way: the editor opens until what is saved is stored, or the user gives up.

use std::io::Write as _;

use anyhow::{anyhow, bail};
use http::Method;
use serde_json::{Value, json};

use super::draft::{Draft, Language, without_comments};
use crate::apply::{self, LAST_APPLIED};
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::objects::Named;
use crate::commands::writing::{DryRun, Writing};
use crate::failure::{Exit, Failure};
use crate::manifest::yaml as input;

/// What the editor is opened on, and what becomes of what is saved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Purpose {
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
pub(super) struct Editing<'a> {
    pub(super) session: &'a Session,
    pub(super) purpose: Purpose,
    /// How it is written and told.
    pub(super) writing: Writing,
    pub(super) validate: Validate,
    pub(super) language: Language,
    pub(super) windows_line_endings: bool,
}

/// An object as it was when the editor opened.
pub(super) struct Original {
    pub(super) named: Named,
    pub(super) object: Value,
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

impl Editing<'_> {
    /// Opens the editor until what is saved is stored, or the user gives up.
    pub(super) async fn run(&self, originals: &[Original]) -> anyhow::Result<()> {
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
