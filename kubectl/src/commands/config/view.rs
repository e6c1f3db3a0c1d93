//! `config view`: what a kubeconfig says, without its secrets. Pure but for printing, and for the files that are taken in.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::edit::List;
use super::entries::certificate;
use super::file::Files;
use crate::print::output::Output;

/// Arguments of `config view`.
#[derive(Args, Debug)]
pub struct View {
    /// With certificates and tokens.
    #[arg(long)]
    raw: bool,
    /// Only what the current context needs.
    #[arg(long)]
    minify: bool,
    /// With the contents of the files that it names.
    #[arg(long)]
    flatten: bool,
    /// Whether all files of $KUBECONFIG are shown together, or the first alone.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true)]
    merge: bool,
    /// How to show it: yaml, json, jsonpath=...
    #[arg(short, long, default_value = "yaml", hide_default_value = true)]
    output: Output,
}

impl View {
    /// Whether only one file is meant.
    pub(super) fn is_of_one(&self) -> bool {
        !self.merge
    }

    pub(super) fn run(self, files: &Files, mut config: Value, current: Option<&str>) -> anyhow::Result<()> {
        for list in ["clusters", "contexts", "users"] {
            if config[list].is_null() {
                config[list] = Value::Null;
            }
        }
        config["apiVersion"] = json!("v1");
        config["kind"] = json!("Config");
        for (field, empty) in [("current-context", json!("")), ("preferences", json!({}))] {
            if config[field].is_null() {
                config[field] = empty;
            }
        }
        if self.minify {
            let current = current.ok_or_else(|| anyhow!("current-context must exist in order to minify"))?;
            keep_only(&mut config, current);
        }
        if self.flatten {
            flatten(&mut config, files)?;
        }
        if !self.raw {
            redact(&mut config);
        }
        self.output.write(&mut anstream::stdout(), &config)?;
        Ok(())
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

/// Takes in the files that a kubeconfig names.
fn flatten(config: &mut Value, files: &Files) -> anyhow::Result<()> {
    for (list, fields) in [
        (List::Clusters, &["certificate-authority"][..]),
        (List::Users, &["client-certificate", "client-key"][..]),
    ] {
        for name in list.names(config) {
            let folder = files.folder_of(list, &name).unwrap_or(Path::new(""));
            let entry = list.entry(config, &name);
            for field in fields {
                if let Some(path) = entry.get(*field).and_then(Value::as_str).map(str::to_owned) {
                    certificate(entry, field, &folder.join(path), true)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
