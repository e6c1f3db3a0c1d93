//! `config`: show the kubeconfig, and choose its context.
//!
//! Choosing changes one line of the file and leaves the rest, with its comments, as it is.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use kube::config::Kubeconfig;
use serde_json::Value;

use crate::cli::Global;
use crate::client::{context, kubeconfig_path};
use crate::print::table::Grid;
use crate::print::yaml;
use crate::resources::{nearest, suggestion};

/// The verbs of `config`.
#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Show the kubeconfig, without its secrets
    View {
        /// With certificates and tokens.
        #[arg(long)]
        raw: bool,
        /// Only what the current context needs.
        #[arg(long)]
        minify: bool,
    },
    /// List the contexts
    GetContexts {
        /// Rows only.
        #[arg(long)]
        no_headers: bool,
        /// Only names.
        #[arg(short, long, value_parser = ["name"])]
        output: Option<String>,
    },
    /// Show the current context's name
    CurrentContext,
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext {
        /// Its name.
        name: String,
    },
}

impl ConfigVerb {
    pub fn run(self, global: &Global) -> anyhow::Result<()> {
        let path = kubeconfig_path(global).ok_or_else(|| anyhow!("no kubeconfig: HOME is not set"))?;
        let config = if path.exists() {
            Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?
        } else {
            Kubeconfig::default()
        };
        let mut out = anstream::stdout().lock();
        match self {
            Self::View { raw, minify } => {
                let mut shown = serde_json::to_value(&config)?;
                if minify {
                    let current = context(global).or(config.current_context.clone());
                    keep_only(
                        &mut shown,
                        &current.ok_or_else(|| anyhow!("current-context must exist in order to minify"))?,
                    );
                }
                if !raw {
                    redact(&mut shown);
                }
                out.write_all(yaml::document(&without_nulls(shown)).as_bytes())?;
            }
            Self::GetContexts { no_headers, output } => {
                let current = context(global).or(config.current_context.clone());
                let grid = contexts(&config, current.as_deref());
                if output.is_some() {
                    for context in &config.contexts {
                        writeln!(out, "{}", context.name)?;
                    }
                    return Ok(());
                }
                let head = if no_headers { Vec::new() } else { grid.head };
                Grid { head, rows: grid.rows }.write(&mut out, &[], None)?;
            }
            Self::CurrentContext => match context(global).or(config.current_context) {
                Some(name) if !name.is_empty() => writeln!(out, "{name}")?,
                _ => bail!("current-context is not set: choose one with `minikctl config use-context NAME`"),
            },
            Self::UseContext { name } => {
                if !config.contexts.iter().any(|context| context.name == name) {
                    let names = config
                        .contexts
                        .iter()
                        .map(|context| (context.name.as_str(), context.name.clone()));
                    bail!(
                        "no context exists with the name: {name:?}{}",
                        suggestion(nearest(names, &name))
                    );
                }
                choose(&path, &name)?;
                writeln!(out, "Switched to context {name:?}.")?;
            }
        }
        Ok(())
    }
}

fn contexts(config: &Kubeconfig, current: Option<&str>) -> Grid {
    let rows = config.contexts.iter().map(|named| {
        let context = named.context.as_ref();
        vec![
            if current == Some(named.name.as_str()) { "*" } else { "" }.to_owned(),
            named.name.clone(),
            context.map(|context| context.cluster.clone()).unwrap_or_default(),
            context.and_then(|context| context.user.clone()).unwrap_or_default(),
            context
                .and_then(|context| context.namespace.clone())
                .unwrap_or_default(),
        ]
    });
    Grid {
        rows: rows.collect(),
        head: ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]
            .map(str::to_owned)
            .to_vec(),
    }
}

/// Drops what the context doesn't need.
fn keep_only(config: &mut Value, name: &str) {
    let named = |list: &Value, name: &Value| -> Value {
        list.as_array()
            .into_iter()
            .flatten()
            .filter(|entry| &entry["name"] == name)
            .cloned()
            .collect()
    };
    let contexts = named(&config["contexts"], &Value::from(name));
    let of = |field: &str| contexts[0]["context"][field].clone();
    config["clusters"] = named(&config["clusters"], &of("cluster"));
    config["users"] = named(&config["users"], &of("user"));
    config["current-context"] = Value::from(name);
    config["contexts"] = contexts;
}

/// Hides what opens doors, as kubectl does.
fn redact(config: &mut Value) {
    for cluster in config["clusters"].as_array_mut().into_iter().flatten() {
        if cluster["cluster"]["certificate-authority-data"].is_string() {
            cluster["cluster"]["certificate-authority-data"] = Value::from("DATA+OMITTED");
        }
    }
    for user in config["users"].as_array_mut().into_iter().flatten() {
        for (field, shown) in [
            ("client-certificate-data", "DATA+OMITTED"),
            ("client-key-data", "DATA+OMITTED"),
            ("token", "REDACTED"),
            ("password", "REDACTED"),
        ] {
            if user["user"][field].is_string() {
                user["user"][field] = Value::from(shown);
            }
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Changes the line, in a copy that takes the file's place: a reader sees the old file or the new one.
fn choose(path: &Path, name: &str) -> anyhow::Result<()> {
    let path: PathBuf = fs::canonicalize(path)?;
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let changed = with_current_context(&text, name);
    let metadata = fs::metadata(&path)?;
    let copy = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&copy, changed)
        .and_then(|()| fs::set_permissions(&copy, fs::Permissions::from_mode(metadata.mode() & 0o777)))
        .and_then(|()| std::os::unix::fs::chown(&copy, Some(metadata.uid()), Some(metadata.gid())))
        .and_then(|()| fs::rename(&copy, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&copy);
        return Err(error).with_context(|| format!("can't write {}", path.display()));
    }
    Ok(())
}

/// The text with its `current-context` line set. Pure.
fn with_current_context(text: &str, name: &str) -> String {
    let line = format!("current-context: {}\n", yaml::document(&Value::from(name)).trim_end());
    let mut changed = String::with_capacity(text.len() + line.len());
    let mut found = false;
    for old in text.split_inclusive('\n') {
        if old.starts_with("current-context:") {
            found = true;
            changed.push_str(&line);
        } else {
            changed.push_str(old);
        }
    }
    if !found {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&line);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_line_changes() {
        let text = "# mine\napiVersion: v1\ncurrent-context: a\nkind: Config\n";
        assert_eq!(
            with_current_context(text, "b"),
            "# mine\napiVersion: v1\ncurrent-context: b\nkind: Config\n"
        );
        assert_eq!(
            with_current_context("kind: Config", "true"),
            "kind: Config\ncurrent-context: \"true\"\n"
        );
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_dropped() {
        let mut config = json!({
            "clusters": [{"name": "c", "cluster": {"server": "s", "certificate-authority-data": "x"}}, {"name": "d"}],
            "users": [{"name": "u", "user": {"client-key-data": "k", "token": "t"}}, {"name": "v"}],
            "contexts": [{"name": "m", "context": {"cluster": "c", "user": "u"}}, {"name": "n"}]});
        keep_only(&mut config, "m");
        redact(&mut config);
        assert_eq!(
            config["clusters"],
            json!([{"name": "c", "cluster": {"server": "s", "certificate-authority-data": "DATA+OMITTED"}}])
        );
        assert_eq!(
            config["users"],
            json!([{"name": "u", "user": {"client-key-data": "DATA+OMITTED", "token": "REDACTED"}}])
        );
        assert_eq!(config["contexts"].as_array().map(Vec::len), Some(1));
    }
}
