//! `taint`: which pods a node repels.

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::Validate;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};

/// Arguments of `taint`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl taint nodes mynode dedicated=db:NoSchedule
  minikctl taint nodes mynode dedicated:NoSchedule-      # takes it away
  minikctl taint nodes mynode dedicated-                 # whatever its effect")]
pub struct Taint {
    /// The nodes, then KEY=VALUE:EFFECT, or KEY[:EFFECT]- to take a taint away.
    #[arg(value_name = "nodes NAME TAINT")]
    words: Vec<String>,
    /// All nodes.
    #[arg(long)]
    all: bool,
    /// All nodes with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Whether taints that are there may be changed.
    #[arg(long)]
    overwrite: bool,
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    #[command(flatten)]
    writing: Writing,
}

/// What the user wants of taints.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    add: Vec<Value>,
    /// Key, and effect if only one.
    remove: Vec<(String, Option<String>)>,
}

impl Taint {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let is_taint = |word: &&String| word.contains(['=', ':']) || word.ends_with('-');
        let (taints, words): (Vec<&String>, Vec<&String>) = self.words.iter().partition(is_taint);
        let words: Vec<String> = words.into_iter().cloned().collect();
        let kind = words.first().map_or("", String::as_str);
        if !["node", "nodes", "no"].contains(&kind.split('/').next().unwrap_or_default()) {
            bail!("invalid resource type {kind}, only node types are supported");
        }
        let changes = changes(&taints)?;
        let session = Session::open(global).await?;
        let selection = Selection {
            all: self.all,
            selector: self.selector.clone(),
            ..Selection::default()
        };
        let wanted = Wanted {
            words: &words,
            files: &Files::default(),
            selection: &selection,
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        let mut teller = self.writing.teller();
        for named in found {
            if let Err(error) = self.one(&session, &named, &changes, &mut teller).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    fn query(&self) -> String {
        let validate = [("fieldValidation", self.validate.parameter())];
        self.writing.query("kubectl-taint", &validate)
    }

    async fn one(
        &self,
        session: &Session,
        named: &Named,
        changes: &Changes,
        teller: &mut Teller<'_>,
    ) -> anyhow::Result<()> {
        let before = named.fetch(session).await?;
        let present = before["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let (taints, what) = changed(&present, changes, self.overwrite).map_err(|problem| match problem {
            Problem::There => anyhow!(
                "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                named.name,
                changes.keys(&present)
            ),
            Problem::NotThere(key) => anyhow!("taint {key:?} not found"),
        })?;
        let mut after = before.clone();
        after["spec"]["taints"] = Value::Array(taints);
        if self.writing.dry_run != DryRun::Client {
            let path = format!("{}{}", named.path(), self.query());
            let patch = apply::two_way(&before, &after);
            after = session.send(Method::PATCH, &path, patch.kind, &patch.body).await?;
        }
        Ok(teller.tell(&named.resource, &after, what)?)
    }
}

impl Changes {
    /// The keys that are there already.
    fn keys(&self, present: &[Value]) -> String {
        let there = self.add.iter().filter(|new| present.iter().any(|old| same(old, new)));
        let keys: Vec<&str> = there.filter_map(|new| new["key"].as_str()).collect();
        keys.join(",")
    }
}

/// Reads `KEY=VALUE:EFFECT`, `KEY:EFFECT`, `KEY:EFFECT-` and `KEY-`. Pure.
fn changes(words: &[&String]) -> anyhow::Result<Changes> {
    let mut changes = Changes::default();
    for word in words {
        if let Some(old) = word.strip_suffix('-') {
            let (key, effect) = match old.split_once(':') {
                Some((key, effect)) => (key, Some(checked(effect)?)),
                None => (old, None),
            };
            let key = key.split_once('=').map_or(key, |(key, _)| key);
            changes.remove.push((key.to_owned(), effect));
            continue;
        }
        let (pair, effect) = word
            .split_once(':')
            .ok_or_else(|| anyhow!("invalid taint spec: {word}, format of the taint must be key=value:effect"))?;
        let effect = checked(effect)?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.is_empty() {
            bail!("invalid taint spec: {word}, name part must be non-empty");
        }
        let mut taint = json!({"key": key, "effect": effect});
        if !value.is_empty() {
            taint["value"] = json!(value);
        }
        if changes.add.iter().any(|known| same(known, &taint)) {
            bail!("duplicated taints with the same key and effect: {word}");
        }
        changes.add.push(taint);
    }
    if changes.add.is_empty() && changes.remove.is_empty() {
        bail!("at least one taint update is required");
    }
    for (key, effect) in &changes.remove {
        let added = changes.add.iter().any(|taint| {
            taint["key"] == key.as_str() && effect.as_ref().is_none_or(|effect| taint["effect"] == effect.as_str())
        });
        if added {
            bail!("can not both modify and remove the following taint(s) in the same command: {key}");
        }
    }
    Ok(changes)
}

fn checked(effect: &str) -> anyhow::Result<String> {
    match effect {
        "NoSchedule" | "PreferNoSchedule" | "NoExecute" => Ok(effect.to_owned()),
        _ => bail!("invalid taint effect: {effect}, unsupported taint effect"),
    }
}

/// Why taints can't be changed so.
#[derive(Debug, PartialEq)]
enum Problem {
    There,
    NotThere(String),
}

/// The taints afterwards, and what was done. Pure.
fn changed(present: &[Value], changes: &Changes, overwrite: bool) -> Result<(Vec<Value>, &'static str), Problem> {
    let there = |new: &Value| present.iter().any(|old| same(old, new));
    if !overwrite && changes.add.iter().any(there) {
        return Err(Problem::There);
    }
    let fits = |taint: &Value, (key, effect): &(String, Option<String>)| {
        taint["key"] == key.as_str() && effect.as_ref().is_none_or(|effect| taint["effect"] == effect.as_str())
    };
    for removal in &changes.remove {
        if !present.iter().any(|taint| fits(taint, removal)) {
            let (key, effect) = removal;
            return Err(Problem::NotThere(match effect {
                Some(effect) => format!("{key}:{effect}"),
                None => key.clone(),
            }));
        }
    }
    let kept = present.iter().filter(|old| {
        !changes.add.iter().any(|new| same(old, new)) && !changes.remove.iter().any(|removal| fits(old, removal))
    });
    let taints = changes.add.iter().chain(kept).cloned().collect();
    let what = match (changes.add.is_empty(), changes.remove.is_empty()) {
        (true, _) => "untainted",
        (false, true) if !changes.add.iter().any(there) => "tainted",
        _ => "modified",
    };
    Ok((taints, what))
}

fn same(a: &Value, b: &Value) -> bool {
    a["key"] == b["key"] && a["effect"] == b["effect"]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Changes> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        changes(&words.iter().collect::<Vec<_>>())
    }

    #[test]
    fn taints_are_read() {
        let made = read("a=b:NoSchedule c:NoExecute d- e:NoSchedule-").expect("fine");
        assert_eq!(
            made.add,
            [
                json!({"key": "a", "value": "b", "effect": "NoSchedule"}),
                json!({"key": "c", "effect": "NoExecute"})
            ]
        );
        assert_eq!(
            made.remove,
            [("d".to_owned(), None), ("e".to_owned(), Some("NoSchedule".to_owned()))]
        );
        for bad in [
            "",
            "a=b",
            "a=b:Foo",
            "=b:NoSchedule",
            "a:NoSchedule a=c:NoSchedule",
            "a:NoSchedule a-",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn taints_change() {
        let present = [json!({"key": "a", "value": "b", "effect": "NoSchedule"})];
        let of = |text: &str, overwrite: bool| changed(&present, &read(text).expect("fine"), overwrite);
        assert_eq!(of("a=c:NoSchedule", false), Err(Problem::There));
        let (taints, what) = of("a=c:NoSchedule", true).expect("fine");
        assert_eq!((taints.len(), &taints[0]["value"], what), (1, &json!("c"), "modified"));
        assert_eq!(of("x:NoExecute", false).expect("fine").1, "tainted");
        assert_eq!(of("a-", false).expect("fine"), (Vec::new(), "untainted"));
        assert_eq!(of("x-", false), Err(Problem::NotThere("x".to_owned())));
        assert_eq!(
            of("a:NoExecute-", false),
            Err(Problem::NotThere("a:NoExecute".to_owned()))
        );
    }
}
