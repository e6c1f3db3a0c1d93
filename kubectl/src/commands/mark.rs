//! `label` and `annotate`: the same verb on two maps of an object's metadata.
//!
//! `app=web` sets, `app-` removes. What has another value already is changed only with `--overwrite`.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use minik_api::names;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::local;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};
use crate::resources::Resource;

/// Arguments of `label` and `annotate`.
#[derive(Args, Debug)]
pub struct Mark {
    /// The objects, then what to set and remove: pod nginx app=web tier-
    #[arg(value_name = "KIND NAME KEY=VALUE KEY-")]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// Change what has another value.
    #[arg(long)]
    overwrite: bool,
    /// Show what is set.
    #[arg(long)]
    list: bool,
    /// Change what the file says, without a server.
    #[arg(long)]
    local: bool,
    /// Only if the object is of this version.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    resource_version: String,
    #[command(flatten)]
    writing: Writing,
}

/// Which of the two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `metadata.labels`
    Labels,
    /// `metadata.annotations`
    Annotations,
}

impl Which {
    fn one(self) -> &'static str {
        match self {
            Self::Labels => "label",
            Self::Annotations => "annotation",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }

    fn manager(self) -> &'static str {
        match self {
            Self::Labels => "kubectl-label",
            Self::Annotations => "kubectl-annotate",
        }
    }

    /// What was done, in a word.
    fn done(self, changes: &Changes) -> &'static str {
        match (self, changes.set.is_empty(), changes.removed.is_empty()) {
            (Self::Annotations, ..) => "annotated",
            (Self::Labels, true, true) => "not labeled",
            (Self::Labels, false, true) => "labeled",
            (Self::Labels, true, false) => "unlabeled",
            (Self::Labels, false, false) => "modified",
        }
    }
}

impl Mark {
    pub async fn run(self, global: &Global, which: Which) -> anyhow::Result<()> {
        let (what, wanted) = split(&self.words, which)?;
        self.check(&what, &wanted, which)?;
        let mut teller = self.writing.teller();
        if self.local {
            for (resource, object) in local::read(&self.files, which.one()).await? {
                self.show(&mut teller, which, &wanted, &resource, &object, true)?;
            }
            return Ok(());
        }
        let session = Session::open(global).await?;
        let search = Wanted {
            words: &what,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: false,
        };
        let (found, mut errors) = search.find(&session).await?;
        let alone = found.len() == 1;
        if !alone && !self.resource_version.is_empty() {
            bail!("--resource-version may only be used with a single resource");
        }
        for named in found {
            let marked = async {
                let object = named.fetch(&session).await?;
                if self.list || self.writing.dry_run == DryRun::Client {
                    return self.show(&mut teller, which, &wanted, &named.resource, &object, alone);
                }
                self.mark(&session, &mut teller, which, &wanted, &named, object).await
            };
            if let Err(error) = marked.await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    fn check(&self, what: &[String], wanted: &Pairs, which: Which) -> anyhow::Result<()> {
        let selection = &self.selection;
        if self.list && self.writing.output.is_some() {
            bail!("--list and --output may not be specified together");
        }
        if selection.all && selection.selector.is_some() {
            bail!("cannot set --all and --selector at the same time");
        }
        if selection.all && selection.field_selector.is_some() {
            bail!("cannot set --all and --field-selector at the same time");
        }
        if self.local && self.writing.dry_run == DryRun::Server {
            bail!("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        if self.local && !what.is_empty() {
            bail!("can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set");
        }
        if self.files.filename.is_empty() && what.is_empty() {
            bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
        }
        if wanted.set.is_empty() && wanted.remove.is_empty() && !self.list {
            bail!("at least one {} update is required", which.one());
        }
        Ok(())
    }

    /// What would be, without asking a server; or, with `--list`, the map alone.
    fn show(
        &self,
        teller: &mut Teller<'_>,
        which: Which,
        wanted: &Pairs,
        resource: &Resource,
        object: &Value,
        alone: bool,
    ) -> anyhow::Result<()> {
        let mut object = object.clone();
        let changes = wanted.apply(&mut object, which, self.overwrite)?;
        if !self.list {
            return Ok(teller.tell(resource, &object, which.done(&changes))?);
        }
        let mut out = anstream::stdout().lock();
        let indent = if alone { "" } else { " " };
        if !alone {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let (kind, group) = (&resource.kind, &resource.group);
            writeln!(out, "Listing {} for {kind}.{group}/{name}:", which.field())?;
        }
        for (key, value) in object["metadata"][which.field()].as_object().into_iter().flatten() {
            writeln!(out, "{indent}{key}={}", value.as_str().unwrap_or_default())?;
        }
        Ok(())
    }

    async fn mark(
        &self,
        session: &Session,
        teller: &mut Teller<'_>,
        which: Which,
        wanted: &Pairs,
        named: &Named,
        mut object: Value,
    ) -> anyhow::Result<()> {
        if which == Which::Labels {
            let has = |label: &String| object["metadata"]["labels"].get(label).is_some();
            for label in wanted.remove.iter().filter(|label| !has(label)) {
                writeln!(anstream::stdout(), "label {label:?} not found.")?;
            }
        }
        let changes = wanted.apply(&mut object, which, self.overwrite)?;
        if !changes.is_empty() || which == Which::Annotations {
            let path = format!("{}{}", named.path(), self.writing.query(which.manager(), &[]));
            let patch = changes.patch(which, &self.resource_version);
            object = session
                .send(Method::PATCH, &path, "application/merge-patch+json", &patch)
                .await?;
        }
        Ok(teller.tell(&named.resource, &object, which.done(&changes))?)
    }
}

/// What the user wants set and removed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pairs {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

/// What of it is not so yet.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    set: BTreeMap<String, String>,
    removed: Vec<String>,
}

impl Pairs {
    /// Changes an object. Pure.
    fn apply(&self, object: &mut Value, which: Which, overwrite: bool) -> anyhow::Result<Changes> {
        let mut map: Map<String, Value> = match &object["metadata"][which.field()] {
            Value::Object(map) => map.clone(),
            _ => Map::new(),
        };
        let others: Vec<String> = self
            .set
            .iter()
            .filter(|(key, _)| which == Which::Labels || key.as_str() != "kubernetes.io/change-cause")
            .filter_map(|(key, value)| {
                let now = map.get(key)?.as_str()?;
                (now != value).then(|| format!("'{key}' already has a value ({now})"))
            })
            .collect();
        if !overwrite && !others.is_empty() {
            return Err(match which {
                Which::Labels => {
                    let each = others.iter().map(|other| format!("{other}, and --overwrite is false"));
                    let each: Vec<String> = each.collect();
                    if let [one] = each.as_slice() {
                        anyhow!("{one}")
                    } else {
                        anyhow!("[{}]", each.join(", "))
                    }
                }
                Which::Annotations => anyhow!(
                    "--overwrite is false but found the following declared annotation(s): {}",
                    others.join("; ")
                ),
            });
        }
        let mut changes = Changes::default();
        for (key, value) in &self.set {
            if map.insert(key.clone(), json!(value)).as_ref().and_then(Value::as_str) != Some(value) {
                changes.set.insert(key.clone(), value.clone());
            }
        }
        for key in &self.remove {
            if map.remove(key).is_some() {
                changes.removed.push(key.clone());
            }
        }
        if changes.is_empty() {
            return Ok(changes);
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            if map.is_empty() {
                metadata.remove(which.field());
            } else {
                metadata.insert(which.field().to_owned(), Value::Object(map));
            }
        }
        Ok(changes)
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    fn patch(&self, which: Which, version: &str) -> Value {
        let set = self.set.iter().map(|(key, value)| (key.clone(), json!(value)));
        let removed = self.removed.iter().map(|key| (key.clone(), Value::Null));
        let marks: Map<String, Value> = set.chain(removed).collect();
        let mut metadata = Map::new();
        if !marks.is_empty() {
            metadata.insert(which.field().to_owned(), Value::Object(marks));
        }
        if !version.is_empty() {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
        if metadata.is_empty() {
            return json!({});
        }
        json!({ "metadata": metadata })
    }
}

/// The words that name objects, and the pairs behind them. Pure.
fn split(words: &[String], which: Which) -> anyhow::Result<(Vec<String>, Pairs)> {
    let is_pair = |word: &String| word.contains('=') || word.ends_with('-');
    let first = words.iter().position(is_pair).unwrap_or(words.len());
    let (what, pairs) = words.split_at(first);
    let mut wanted = Pairs::default();
    for word in pairs {
        if let Some((key, value)) = word.split_once('=') {
            if which == Which::Labels {
                if value.contains('=') {
                    bail!("invalid label spec: {word}");
                }
                let problems = names::label_value(value);
                if !problems.is_empty() {
                    bail!("invalid label value: {word:?}: {}", problems.join(";"));
                }
            }
            if key.is_empty() {
                bail!("invalid {} spec: {word}", which.one());
            }
            wanted.set.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = word.strip_suffix('-').filter(|key| !key.is_empty()) {
            wanted.remove.push(key.to_owned());
        } else {
            bail!("all resources must be specified before {} changes: {word}", which.one());
        }
    }
    let both: Vec<&str> = wanted
        .remove
        .iter()
        .filter(|key| wanted.set.contains_key(*key))
        .map(String::as_str)
        .collect();
    match which {
        _ if both.is_empty() => Ok((what.to_vec(), wanted)),
        Which::Labels => bail!("can not both modify and remove a label in the same command"),
        Which::Annotations => bail!(
            "can not both modify and remove the following annotation(s) in the same command: {}",
            both.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, which: Which) -> anyhow::Result<(Vec<String>, Pairs)> {
        split(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), which)
    }

    fn changed(object: &mut Value, text: &str, overwrite: bool) -> anyhow::Result<Changes> {
        let (_, pairs) = words(text, Which::Labels)?;
        pairs.apply(object, Which::Labels, overwrite)
    }

    #[test]
    fn pairs_stand_behind_objects() {
        let (what, pairs) = words("pod a app=web tier-", Which::Labels).expect("good");
        assert_eq!(what, ["pod", "a"]);
        assert_eq!(pairs.set.get("app").map(String::as_str), Some("web"));
        assert_eq!(pairs.remove, ["tier"]);
        for text in ["pod app=web a", "pod a x=1 x-", "pod a x=b=c", "pod a x=b!c"] {
            assert!(words(text, Which::Labels).is_err(), "{text}");
        }
        assert!(words("pod a x=b=c!", Which::Annotations).is_ok());
    }

    #[test]
    fn what_changes_is_said_and_sent() {
        let mut pod = json!({"metadata": {"name": "a", "labels": {"app": "web", "old": "1"}}});
        let changes = changed(&mut pod, "pod a app=web new=2 old- none-", false).expect("good");
        assert_eq!(Which::Labels.done(&changes), "modified");
        assert_eq!(pod["metadata"]["labels"], json!({"app": "web", "new": "2"}));
        assert_eq!(
            changes.patch(Which::Labels, "7"),
            json!({"metadata": {"labels": {"new": "2", "old": null}, "resourceVersion": "7"}})
        );
        let refused = changed(&mut pod, "pod a app=db", false).expect_err("it has a value");
        assert_eq!(
            refused.to_string(),
            "'app' already has a value (web), and --overwrite is false"
        );
        let changes = changed(&mut pod, "pod a app=db", true).expect("overwritten");
        assert_eq!(Which::Labels.done(&changes), "labeled");
        let changes = changed(&mut pod, "pod a app- new-", false).expect("removed");
        assert_eq!(Which::Labels.done(&changes), "unlabeled");
        assert!(pod["metadata"].get("labels").is_none());
        let changes = changed(&mut pod, "pod a app-", false).expect("nothing");
        assert_eq!(Which::Labels.done(&changes), "not labeled");
    }
}
