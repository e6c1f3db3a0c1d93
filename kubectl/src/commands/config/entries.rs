//! `config set-context` and `set-cluster`: an entry's fields by flags. What the flags are called is what they are called
//! everywhere, where they say whom to talk to; here they say what to write down.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::edit::List;
use crate::cli::Global;

/// Arguments of `config set-context`.
#[derive(Args, Debug)]
pub struct SetContext {
    /// Its name.
    name: Option<String>,
    /// The current one.
    #[arg(long)]
    current: bool,
}

/// Arguments of `config set-cluster`.
#[derive(Args, Debug)]
pub struct SetCluster {
    /// Its name.
    name: String,
    /// Put the authority's certificate into the file, in the place of its path.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    embed_certs: bool,
    /// The proxy on the way to it.
    #[arg(long, value_name = "URL")]
    proxy_url: Option<String>,
}

impl SetContext {
    pub(super) fn change(self, global: &Global, config: &mut Value, current: Option<&str>) -> anyhow::Result<String> {
        let name = match (&self.name, self.current) {
            (Some(_), true) => bail!("you cannot specify both a context name and --current"),
            (Some(name), false) => name.clone(),
            (None, true) => current.ok_or_else(|| anyhow!("no current context is set"))?.to_owned(),
            (None, false) => bail!("you must specify a non-empty context name or --current"),
        };
        let was_there = List::Contexts.has(config, &name);
        let entry = List::Contexts.entry(config, &name);
        let connection = &global.connection;
        for (field, value) in [
            ("cluster", &connection.cluster),
            ("user", &connection.user),
            ("namespace", &global.namespace),
        ] {
            put(entry, field, value.as_ref());
        }
        for needed in ["cluster", "user"] {
            entry.entry(needed).or_insert_with(|| json!(""));
        }
        let what = if was_there { "modified" } else { "created" };
        Ok(format!("Context {name:?} {what}."))
    }
}

impl SetCluster {
    pub(super) fn change(self, global: &Global, config: &mut Value) -> anyhow::Result<String> {
        let connection = &global.connection;
        if connection.insecure_skip_tls_verify && connection.certificate_authority.is_some() {
            bail!("you cannot specify a certificate authority and insecure mode at the same time");
        }
        let entry = List::Clusters.entry(config, &self.name);
        put(entry, "server", connection.server.as_ref());
        put(entry, "tls-server-name", connection.tls_server_name.as_ref());
        put(entry, "proxy-url", self.proxy_url.as_ref());
        entry.entry("server").or_insert_with(|| json!(""));
        if connection.insecure_skip_tls_verify {
            entry.insert("insecure-skip-tls-verify".to_owned(), json!(true));
            entry.remove("certificate-authority");
            entry.remove("certificate-authority-data");
        }
        if let Some(file) = &connection.certificate_authority {
            entry.remove("insecure-skip-tls-verify");
            certificate(entry, "certificate-authority", file, self.embed_certs)?;
        }
        Ok(format!("Cluster {:?} set.", self.name))
    }
}

/// Sets a field; an empty value takes it away.
pub(super) fn put(entry: &mut Map<String, Value>, field: &str, value: Option<&String>) {
    match value {
        None => {}
        Some(value) if value.is_empty() => drop(entry.remove(field)),
        Some(value) => drop(entry.insert(field.to_owned(), json!(value))),
    }
}

/// A certificate or key by its path, or as it is.
pub(super) fn certificate(entry: &mut Map<String, Value>, field: &str, file: &Path, embed: bool) -> anyhow::Result<()> {
    let data = format!("{field}-data");
    if embed {
        let bytes = fs::read(file).with_context(|| format!("could not read {field} data from {}", file.display()))?;
        entry.remove(field);
        entry.insert(data, json!(STANDARD.encode(bytes)));
    } else {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        entry.remove(&data);
        entry.insert(field.to_owned(), json!(path.display().to_string()));
    }
    Ok(())
}
