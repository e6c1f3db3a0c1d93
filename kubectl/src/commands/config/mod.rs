//! `config`: show the kubeconfig and change it.
//!
//! `use-context` changes one line of the file and leaves the rest, with its comments, as it is; what changes more writes the file
//! anew, as kubectl does.

mod edit;
mod file;
mod view;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::{context, kubeconfig_path};
use crate::print::output::Output;
use crate::print::table::Grid;
use crate::resources::{nearest, suggestion};
use edit::List;

/// The verbs of `config`.
#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Show the kubeconfig, without its secrets
    View(View),
    /// List the contexts
    GetContexts(GetContexts),
    /// List the clusters
    GetClusters,
    /// List the users
    GetUsers,
    /// Show the current context's name
    CurrentContext,
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext {
        /// Its name.
        name: String,
    },
    /// Set what a context says; --cluster, --user and --namespace tell what
    SetContext(SetContext),
    /// Set what a cluster says; --server, --certificate-authority and the like tell what
    SetCluster(SetCluster),
    /// Set what a user says; --token, --client-certificate and the like tell what
    SetCredentials(SetCredentials),
    /// Set a field: clusters.minik.server https://127.0.0.1:6443
    Set {
        /// The way to it.
        property: String,
        /// What it is to be.
        value: String,
        /// The value is base64.
        #[arg(long)]
        set_raw_bytes: bool,
    },
    /// Take a field or an entry away
    Unset {
        /// The way to it.
        property: String,
    },
    /// Give a context another name
    RenameContext {
        /// Its name.
        old: String,
        /// The new one.
        new: String,
    },
    /// Take a context away
    DeleteContext {
        /// Its name.
        name: String,
    },
    /// Take a cluster away
    DeleteCluster {
        /// Its name.
        name: String,
    },
    /// Take a user away
    DeleteUser {
        /// Its name.
        name: String,
    },
}

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
    /// How to show it: yaml, json, jsonpath=...
    #[arg(short, long, default_value = "yaml", hide_default_value = true)]
    output: Output,
}

/// Arguments of `config get-contexts`.
#[derive(Args, Debug)]
pub struct GetContexts {
    /// Only these.
    names: Vec<String>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// Only names.
    #[arg(short, long, value_parser = ["name"])]
    output: Option<String>,
}

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

/// Arguments of `config set-credentials`.
#[derive(Args, Debug)]
pub struct SetCredentials {
    /// Their name.
    name: String,
    /// Put the certificate and the key into the file, in the place of their paths.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    embed_certs: bool,
}

impl ConfigVerb {
    pub fn run(self, global: &Global) -> anyhow::Result<()> {
        let path = kubeconfig_path(global).ok_or_else(|| anyhow!("no kubeconfig: HOME is not set"))?;
        let config = file::read(&path)?;
        let current = context(global).or(config["current-context"].as_str().map(str::to_owned));
        let current = current.filter(|name| !name.is_empty());
        let mut out = anstream::stdout().lock();
        match self {
            Self::View(verb) => verb.run(config, current.as_deref()),
            Self::GetContexts(verb) => verb.run(&config, current.as_deref()),
            Self::GetClusters => names(List::Clusters, &config),
            Self::GetUsers => names(List::Users, &config),
            Self::CurrentContext => match current {
                Some(name) => Ok(writeln!(out, "{name}")?),
                None => bail!("current-context is not set: choose one with `minikctl config use-context NAME`"),
            },
            Self::UseContext { name } => {
                let known = List::Contexts.names(&config);
                if !known.contains(&name) {
                    let names = known.iter().map(|known| (known.as_str(), known.clone()));
                    bail!(
                        "no context exists with the name: {name:?}{}",
                        suggestion(nearest(names, &name))
                    );
                }
                file::choose(&path, &name)?;
                Ok(writeln!(out, "Switched to context {name:?}.")?)
            }
            changes => {
                let said = changes.change(global, &path, config, current.as_deref())?;
                Ok(writeln!(out, "{said}")?)
            }
        }
    }

    /// Changes the file; what there is to say of it.
    fn change(self, global: &Global, path: &Path, mut config: Value, current: Option<&str>) -> anyhow::Result<String> {
        let file = path.display().to_string();
        let said = match self {
            Self::SetContext(verb) => verb.change(global, &mut config, current)?,
            Self::SetCluster(verb) => verb.change(global, &mut config)?,
            Self::SetCredentials(verb) => verb.change(global, &mut config)?,
            Self::Set {
                property,
                value,
                set_raw_bytes,
            } => {
                // Data is kept as base64: text is encoded, bytes are given so.
                let value = if property.ends_with("-data") && !set_raw_bytes {
                    STANDARD.encode(value)
                } else {
                    value
                };
                edit::set(&mut config, &property, Some(&value))?;
                format!("Property {property:?} set.")
            }
            Self::Unset { property } => {
                edit::set(&mut config, &property, None)?;
                format!("Property {property:?} unset.")
            }
            Self::RenameContext { old, new } => {
                edit::rename_context(&mut config, &old, &new, &file)?;
                format!("Context {old:?} renamed to {new:?}.")
            }
            Self::DeleteContext { name } => {
                if config["current-context"] == name.as_str() {
                    writeln!(
                        anstream::stderr(),
                        "warning: this removed your active context, use \"minikctl config use-context\" to select a different one"
                    )?;
                }
                remove(List::Contexts, "context", &mut config, &name, &file)?
            }
            Self::DeleteCluster { name } => remove(List::Clusters, "cluster", &mut config, &name, &file)?,
            Self::DeleteUser { name } => remove(List::Users, "user", &mut config, &name, &file)?,
            shown => unreachable!("{shown:?} changes nothing and is done in run()"),
        };
        file::write(path, &config)?;
        Ok(said)
    }
}

impl View {
    fn run(self, mut config: Value, current: Option<&str>) -> anyhow::Result<()> {
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
            view::keep_only(&mut config, current);
        }
        if self.flatten {
            flatten(&mut config)?;
        }
        if !self.raw {
            view::redact(&mut config);
        }
        self.output.write(&mut anstream::stdout(), &config)?;
        Ok(())
    }
}

impl GetContexts {
    fn run(self, config: &Value, current: Option<&str>) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        let known = List::Contexts.names(config);
        let wanted: Vec<String> = match self.names.as_slice() {
            [] => known.clone(),
            names => names.to_vec(),
        };
        if let Some(missing) = wanted.iter().find(|name| !known.contains(name)) {
            bail!("context {missing} not found");
        }
        if self.output.is_some() {
            for name in wanted {
                writeln!(out, "{name}")?;
            }
            return Ok(());
        }
        let bodies: Vec<Value> = config["contexts"].as_array().cloned().unwrap_or_default();
        let rows = wanted.into_iter().map(|name| {
            let entry = bodies.iter().find(|entry| entry["name"] == name.as_str());
            let text = |field: &str| {
                let value = entry.and_then(|entry| entry["context"][field].as_str());
                value.unwrap_or_default().to_owned()
            };
            let mark = if current == Some(name.as_str()) { "*" } else { "" };
            vec![
                mark.to_owned(),
                name.clone(),
                text("cluster"),
                text("user"),
                text("namespace"),
            ]
        });
        let head = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned);
        let grid = Grid {
            rows: rows.collect(),
            head: if self.no_headers { Vec::new() } else { head.to_vec() },
        };
        Ok(grid.write(&mut out, &[], None)?)
    }
}

impl SetContext {
    fn change(self, global: &Global, config: &mut Value, current: Option<&str>) -> anyhow::Result<String> {
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
    fn change(self, global: &Global, config: &mut Value) -> anyhow::Result<String> {
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

impl SetCredentials {
    fn change(self, global: &Global, config: &mut Value) -> anyhow::Result<String> {
        let connection = &global.connection;
        if connection.token.is_some() && connection.username.is_some() {
            bail!(
                "you cannot specify more than one authentication method at the same time: --token, --username/--password"
            );
        }
        let entry = List::Users.entry(config, &self.name);
        put(entry, "token", connection.token.as_ref());
        put(entry, "username", connection.username.as_ref());
        put(entry, "password", connection.password.as_ref());
        if connection.token.is_some() {
            entry.retain(|field, _| !matches!(field.as_str(), "username" | "password" | "tokenFile"));
        }
        if connection.username.is_some() {
            entry.retain(|field, _| !matches!(field.as_str(), "token" | "tokenFile"));
        }
        for (field, file) in [
            ("client-certificate", &connection.client_certificate),
            ("client-key", &connection.client_key),
        ] {
            if let Some(file) = file {
                certificate(entry, field, file, self.embed_certs)?;
            }
        }
        Ok(format!("User {:?} set.", self.name))
    }
}

fn put(entry: &mut Map<String, Value>, field: &str, value: Option<&String>) {
    match value {
        None => {}
        Some(value) if value.is_empty() => drop(entry.remove(field)),
        Some(value) => drop(entry.insert(field.to_owned(), json!(value))),
    }
}

/// A certificate or key by its path, or as it is.
fn certificate(entry: &mut Map<String, Value>, field: &str, file: &Path, embed: bool) -> anyhow::Result<()> {
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

/// Takes in the files that a kubeconfig names.
fn flatten(config: &mut Value) -> anyhow::Result<()> {
    for (list, body, fields) in [
        ("clusters", "cluster", &["certificate-authority"][..]),
        ("users", "user", &["client-certificate", "client-key"][..]),
    ] {
        for entry in config[list].as_array_mut().into_iter().flatten() {
            let Some(entry) = entry[body].as_object_mut() else {
                continue;
            };
            for field in fields {
                if let Some(path) = entry.get(*field).and_then(Value::as_str).map(str::to_owned) {
                    certificate(entry, field, Path::new(&path), true)?;
                }
            }
        }
    }
    Ok(())
}

fn names(list: List, config: &Value) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "NAME")?;
    for name in list.names(config) {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

fn remove(list: List, what: &str, config: &mut Value, name: &str, file: &str) -> anyhow::Result<String> {
    if !list.remove(config, name) {
        bail!("cannot delete {what} {name}, not in {file}");
    }
    Ok(format!("deleted {what} {name} from {file}"))
}
