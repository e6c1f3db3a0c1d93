//! `diff`: what `apply` would change, as the server would store it.
//!
//! Exit code 0 says that nothing would change, 1 that something would, 2 that it could not be found out.

use std::io::Write as _;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use minik_api::selector::Labels;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::apply::prune::{self, Visited};
use crate::commands::objects::{Files, Named, finish};
use crate::commands::target::query;
use crate::failure::{self, Exit, Failure};
use crate::print::{output, style, yaml};
use crate::resources::Resource;

/// Arguments of `diff`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl diff -f pod.yaml
  cat pod.yaml | minikctl diff -f -
  KUBECTL_EXTERNAL_DIFF=\"meld\" minikctl diff -f pod.yaml")]
pub struct Diff {
    #[command(flatten)]
    files: Files,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Let the server merge (server-side apply).
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others manage (with --server-side).
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,
    /// The name under which fields are managed.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Also show what `apply --prune` would delete.
    #[arg(long)]
    prune: bool,
    /// The kinds that may be pruned: core/v1/ConfigMap; may be repeated.
    #[arg(long, value_name = "GROUP/VERSION/KIND", requires = "prune")]
    prune_allowlist: Vec<String>,
    /// How many objects to ask for at once.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    concurrency: usize,
    /// Show the values of secrets.
    #[arg(long)]
    show_secrets: bool,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
}

/// One object, before and after.
struct Pair {
    /// `apps.v1.Deployment.default.web`
    name: String,
    live: Value,
    merged: Value,
    is_secret: bool,
}

impl Diff {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self.differs(global).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Exit(1).into()),
            Err(error) => {
                writeln!(anstream::stderr(), "{}", failure::message(&error))?;
                Err(Exit(2).into())
            }
        }
    }

    async fn differs(&self, global: &Global) -> anyhow::Result<bool> {
        if self.files.filename.is_empty() {
            bail!("must specify one of -f and -k: `minikctl diff -f FILE`");
        }
        let session = Session::open(global).await?;
        let (found, errors) = self.files.find(&session).await?;
        finish(errors)?;
        let selector = self.selector.as_deref().map(Labels::parse).transpose()?;
        let chosen = found.into_iter().filter(|named| {
            let document = named.document.as_ref();
            selector
                .as_ref()
                .is_none_or(|selector| document.is_some_and(|of| selector.matches(&of.labels())))
        });
        let pairs = futures::stream::iter(chosen).map(async |named| self.pair(&session, named).await);
        let mut pairs: Vec<Pair> = pairs.buffered(self.concurrency.max(1)).try_collect().await?;
        if self.prune {
            self.add_orphans(&session, &mut pairs).await?;
        }
        for pair in &mut pairs {
            if !self.show_managed_fields {
                output::drop_managed_fields(&mut pair.live);
                output::drop_managed_fields(&mut pair.merged);
            }
            if !self.show_secrets && pair.is_secret {
                mask(&mut pair.live, &mut pair.merged);
            }
        }
        pairs.sort_by(|a, b| a.name.cmp(&b.name));
        match env::var("KUBECTL_EXTERNAL_DIFF")
            .ok()
            .filter(|program| !program.is_empty())
        {
            Some(program) => external(&program, &pairs),
            None => shown(&pairs),
        }
    }

    /// What `apply --prune` would delete, as pairs of which nothing is left.
    async fn add_orphans(&self, session: &Session, pairs: &mut Vec<Pair>) -> anyhow::Result<()> {
        let applied = |pair: &Pair| Visited::of(if pair.live.is_null() { &pair.merged } else { &pair.live });
        let applied: Vec<Visited> = pairs.iter().map(applied).collect();
        let prunable = prune::prunable(session, &self.prune_allowlist).await?;
        for (resource, live) in prune::orphans(session, &prunable, self.selector.as_ref(), &applied).await? {
            let text = |field: &str| live["metadata"][field].as_str().unwrap_or_default();
            pairs.push(Pair {
                name: name_of(resource, text("namespace"), text("name")),
                is_secret: is_secret(resource),
                live,
                merged: Value::Null,
            });
        }
        Ok(())
    }

    async fn pair(&self, session: &Session, named: Named) -> anyhow::Result<Pair> {
        let document = named.document.as_ref().expect("every object comes from a file");
        let live = match session.get(&named.path()).await {
            Ok(live) => live,
            Err(failure) if failure.is_not_found() => Value::Null,
            Err(failure) => return Err(failure.into()),
        };
        let merged = self.merged(session, &named, &document.object, &live).await?;
        Ok(Pair {
            name: name_of(&named.resource, &named.namespace, &named.name),
            is_secret: is_secret(&named.resource),
            live,
            merged,
        })
    }

    /// What the server says that would be stored.
    async fn merged(&self, session: &Session, named: &Named, wanted: &Value, live: &Value) -> Result<Value, Failure> {
        let manager = if self.server_side {
            "kubectl"
        } else {
            "kubectl-client-side-apply"
        };
        let manager = self.field_manager.as_deref().unwrap_or(manager);
        let mut parameters = vec![("dryRun", "All"), ("fieldManager", manager)];
        if self.server_side {
            if self.force_conflicts {
                parameters.push(("force", "true"));
            }
            let path = format!("{}{}", named.path(), query(&parameters));
            return session
                .send(Method::PATCH, &path, "application/apply-patch+yaml", wanted)
                .await;
        }
        if live.is_null() {
            let collection = named.resource.collection(Some(&named.namespace));
            let path = format!("{collection}{}", query(&parameters));
            return session.send(Method::POST, &path, "application/json", wanted).await;
        }
        let patch = apply::patch_to_show(wanted, live);
        if patch.is_empty() {
            return Ok(live.clone());
        }
        let path = format!("{}{}", named.path(), query(&parameters));
        session.send(Method::PATCH, &path, patch.kind, &patch.body).await
    }
}

/// The name of an object's file: `apps.v1.Deployment.default.web`.
fn name_of(resource: &Resource, namespace: &str, name: &str) -> String {
    let group = match resource.group.as_str() {
        "" => String::new(),
        group => format!("{group}."),
    };
    let namespace = if resource.namespaced { namespace } else { "" };
    format!("{group}{}.{}.{namespace}.{name}", resource.version, resource.kind)
}

fn is_secret(resource: &Resource) -> bool {
    resource.kind == "Secret" && resource.group.is_empty()
}

/// Prints the differences as diff -u does; whether there are any.
fn shown(pairs: &[Pair]) -> anyhow::Result<bool> {
    let mut out = anstream::stdout().lock();
    let mut any = false;
    for pair in pairs {
        for line in lines(pair) {
            any = true;
            let style = match line.as_bytes().first() {
                _ if line.starts_with("diff ") || line.starts_with("--- ") || line.starts_with("+++ ") => style::STRONG,
                Some(b'@') => style::FAINT,
                Some(b'+') => style::GOOD,
                Some(b'-') => style::BAD,
                _ => anstyle::Style::new(),
            };
            writeln!(out, "{}{line}{}", style.render(), style.render_reset())?;
        }
    }
    out.flush()?;
    Ok(any)
}

/// The lines of one object's difference. Pure.
fn lines(pair: &Pair) -> Vec<String> {
    let (before, after) = (text(&pair.live), text(&pair.merged));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        if lines.is_empty() {
            let (live, merged) = (format!("LIVE/{}", pair.name), format!("MERGED/{}", pair.name));
            lines.push(format!("diff -u -N {live} {merged}"));
            lines.push(format!("--- {live}"));
            lines.push(format!("+++ {merged}"));
        }
        lines.push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign}{}", change.value().trim_end_matches('\n')));
        }
    }
    lines
}

/// Has a program of the user's compare two folders; whether it found differences.
fn external(program: &str, pairs: &[Pair]) -> anyhow::Result<bool> {
    let folder = Folder::new()?;
    let sides = ["LIVE", "MERGED"].map(|side| folder.0.join(side));
    for side in &sides {
        fs::create_dir(side)?;
    }
    for pair in pairs {
        for (side, object) in sides.iter().zip([&pair.live, &pair.merged]) {
            if !object.is_null() {
                fs::write(side.join(&pair.name), text(object))?;
            }
        }
    }
    let mut words = program.split(' ').filter(|word| !word.is_empty());
    let name = words.next().unwrap_or("diff");
    // As kubectl: only options that nothing can be hidden in.
    let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-=".contains(&b));
    let status = Command::new(name).args(words.filter(plain)).args(&sides).status();
    match status.with_context(|| format!("failed to run {name:?}"))?.code() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        code => bail!("{name:?} ended with {code:?}"),
    }
}

/// A folder that goes with the value; secrets lie in it, so it is the user's alone.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = env::temp_dir().join(format!("minikctl-diff-{}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        builder
            .mode(0o700)
            .create(&path)
            .with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed stays; nobody is left to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(object: &Value) -> String {
    if object.is_null() {
        String::new()
    } else {
        yaml::document(object)
    }
}

/// Hides a secret's values, but not that one changes. Pure.
fn mask(live: &mut Value, merged: &mut Value) {
    let before = live["data"].as_object().cloned().unwrap_or_default();
    let after = merged["data"].as_object().cloned().unwrap_or_default();
    for (key, value) in &before {
        let changes = after.get(key).is_some_and(|other| other != value);
        live["data"][key] = json!(if changes { "*** (before)" } else { "***" });
    }
    for (key, value) in &after {
        let changes = before.get(key).is_some_and(|other| other != value);
        merged["data"][key] = json!(if changes { "*** (after)" } else { "***" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_read_as_diffs() {
        let pair = Pair {
            name: "v1.ConfigMap.default.c".to_owned(),
            live: json!({"data": {"a": "1", "b": "2"}}),
            merged: json!({"data": {"a": "1", "b": "3"}}),
            is_secret: false,
        };
        assert_eq!(
            lines(&pair),
            [
                "diff -u -N LIVE/v1.ConfigMap.default.c MERGED/v1.ConfigMap.default.c",
                "--- LIVE/v1.ConfigMap.default.c",
                "+++ MERGED/v1.ConfigMap.default.c",
                "@@ -1,3 +1,3 @@",
                " data:",
                "   a: \"1\"",
                "-  b: \"2\"",
                "+  b: \"3\"",
            ]
        );
        let same = Pair {
            merged: pair.live.clone(),
            ..pair
        };
        assert!(lines(&same).is_empty());
    }

    #[test]
    fn secrets_are_hidden() {
        let mut live = json!({"data": {"same": "a", "changed": "b", "gone": "c"}});
        let mut merged = json!({"data": {"same": "a", "changed": "x", "new": "y"}});
        mask(&mut live, &mut merged);
        assert_eq!(
            live["data"],
            json!({"same": "***", "changed": "*** (before)", "gone": "***"})
        );
        assert_eq!(
            merged["data"],
            json!({"same": "***", "changed": "*** (after)", "new": "***"})
        );
        let (mut none, mut new) = (Value::Null, json!({"data": {"a": "b"}}));
        mask(&mut none, &mut new);
        assert_eq!((none, new), (Value::Null, json!({"data": {"a": "***"}})));
    }
}
