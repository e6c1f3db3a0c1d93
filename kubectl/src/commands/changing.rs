//! The one order of the verbs that change a part of objects they find (`set`, `rollout restart`, `taint`, `cordon`): find,
//! fetch, edit a copy, send the difference as a patch, tell.
//!
//! Which part, and how, is the verb's: an [`Edit`] is pure.

use anyhow::{anyhow, bail};
use http::Method;
use serde_json::Value;

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::local;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};
use crate::failure::Failure;
use crate::resources::Resource;

/// A verb's decision about one object: changes it in place, and says what was done as the message has it (`image updated`).
pub type Edit<'a> = dyn Fn(&Resource, &mut Value) -> anyhow::Result<&'static str> + 'a;

/// Which objects are changed, and how that is told.
#[derive(Clone, Debug)]
pub struct Changing<'a> {
    /// `deployment web`, `deploy/web pod/a`.
    pub words: &'a [String],
    /// `-f`.
    pub files: &'a Files,
    /// `-l`, `--all`.
    pub selection: &'a Selection,
    /// Only as the file says it, without a server.
    pub local: bool,
    /// `--dry-run`, `-o`, ...
    pub writing: &'a Writing,
    /// Whose fields they are, where the user doesn't say.
    pub manager: &'a str,
    /// Before the server's words when it refuses.
    pub failed: &'a str,
}

impl Changing<'_> {
    /// Edits each object and sends what changed.
    ///
    /// # Errors
    /// Those of finding, editing and sending, each beside what went well.
    pub async fn run(&self, global: &Global, edit: &Edit<'_>) -> anyhow::Result<()> {
        let mut teller = self.writing.teller();
        if self.local {
            if self.writing.dry_run == DryRun::Server {
                bail!("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
            }
            for (resource, mut object) in local::read(self.files, "change").await? {
                let what = edit(&resource, &mut object)?;
                teller.tell(&resource, &object, what)?;
            }
            return Ok(());
        }
        let session = Session::open(global).await?;
        let (found, mut errors) = self.find(&session).await?;
        for named in found {
            if let Err(error) = self.one(&session, &named, edit, &mut teller).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn find(&self, session: &Session) -> anyhow::Result<(Vec<Named>, Vec<anyhow::Error>)> {
        let wanted = Wanted {
            words: self.words,
            files: self.files,
            selection: self.selection,
            kind_is_enough: false,
        };
        wanted.find(session).await
    }

    async fn one(
        &self,
        session: &Session,
        named: &Named,
        edit: &Edit<'_>,
        teller: &mut Teller<'_>,
    ) -> anyhow::Result<()> {
        let before = named.fetch(session).await?;
        let mut after = before.clone();
        let what = edit(&named.resource, &mut after)?;
        let patch = apply::two_way(&before, &after);
        if patch.is_empty() && self.writing.dry_run != DryRun::Client && self.writing.output.is_none() {
            return Ok(());
        }
        if self.writing.dry_run != DryRun::Client && !patch.is_empty() {
            let path = format!("{}{}", named.path(), self.writing.query(self.manager, &[]));
            let sent = session.send(Method::PATCH, &path, patch.kind, &patch.body).await;
            after = sent.map_err(|failure| match (self.failed, failure) {
                ("", failure) => anyhow::Error::from(failure),
                (failed, Failure::Api(status)) => anyhow!("failed to patch {failed} {}", status.message),
                (_, failure) => failure.into(),
            })?;
        }
        Ok(teller.tell(&named.resource, &after, what)?)
    }
}

/// The specification of the pods that an object is or makes.
///
/// # Errors
/// When it makes none.
pub fn pod_spec<'a>(resource: &Resource, object: &'a mut Value) -> anyhow::Result<&'a mut Value> {
    let path = if resource.kind == "Pod" {
        "/spec".to_owned()
    } else {
        format!("{}/spec", template_path(resource)?)
    };
    match object.pointer_mut(&path) {
        Some(spec) => Ok(spec),
        None => bail!("{} has no pod template", resource.kind),
    }
}

/// Where an object's pod template is.
///
/// # Errors
/// When its kind has none.
pub fn template_path(resource: &Resource) -> anyhow::Result<&'static str> {
    Ok(match resource.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        kind => bail!("the object is not a pod or does not have a pod template: {kind}"),
    })
}

/// The containers of a pod's specification whose names fit a pattern (`*` for any text), the init containers too if asked for.
pub fn containers<'a>(
    spec: &'a mut Value,
    pattern: &'a str,
    with_init: bool,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    let map = spec.as_object_mut();
    let lists = map.into_iter().flat_map(|map| map.iter_mut());
    let lists = lists.filter(move |(name, _)| *name == "containers" || with_init && *name == "initContainers");
    let all = lists.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten());
    all.filter(move |container| fits(pattern, container["name"].as_str().unwrap_or_default()))
}

/// Whether a name fits a pattern in which `*` stands for any text. Pure.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The words that name objects, and those that say what to set: `NAME=VALUE` and `NAME-`. Pure.
#[must_use]
pub fn apart(words: &[String], ends_too: bool) -> (Vec<String>, Vec<String>) {
    let is_setting = |word: &&String| word.contains('=') || ends_too && word.ends_with('-');
    let settings = words.iter().filter(|word| is_setting(word)).cloned().collect();
    (
        words.iter().filter(|word| !is_setting(word)).cloned().collect(),
        settings,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_are_simple() {
        for (pattern, name, fit) in [
            ("*", "web", true),
            ("web", "web", true),
            ("web", "web2", false),
            ("w*", "web", true),
            ("*b", "web", true),
            ("w*b", "web", true),
            ("w*x*b", "web", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn the_difference_of_a_list_is_its_changed_element() {
        let object = |image: &str| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [
                {"name": "a", "image": image}, {"name": "b", "image": "other"}]}}}})
        };
        let patch = apply::two_way(&object("one"), &object("two"));
        let containers = &patch.body["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers, &json!([{"name": "a", "image": "two"}]));
        assert!(apply::two_way(&object("one"), &object("one")).is_empty());
    }

    #[test]
    fn words_are_names_or_settings() {
        let words = ["deploy/web", "A=b", "C-"].map(str::to_owned);
        let (names, settings) = apart(&words, true);
        assert_eq!(names, ["deploy/web"]);
        assert_eq!(settings, ["A=b", "C-"]);
    }
}
