//! `config`: show the kubeconfig and change it.
//!
//! `use-context` changes one line of the file and leaves the rest, with its comments, as it is; what changes more writes the file
//! anew, as kubectl does.

mod credentials;
mod edit;
mod entries;
mod file;
mod view;

use std::io::Write as _;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::Global;
use crate::client::{context, kubeconfig_paths};
use crate::print::table::Grid;
use crate::resources::{nearest, suggestion};
use credentials::SetCredentials;
use edit::List;
use entries::{SetCluster, SetContext};
use file::Files;
use view::View;

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

impl ConfigVerb {
    pub fn run(self, global: &Global) -> anyhow::Result<()> {
        let mut paths = kubeconfig_paths(global);
        if paths.is_empty() {
            bail!("no kubeconfig: HOME is not set");
        }
        if matches!(&self, Self::View(view) if view.is_of_one()) {
            paths.truncate(1);
        }
        let files = Files::read(paths)?;
        let config = files.merged();
        let current = context(global).or(config["current-context"].as_str().map(str::to_owned));
        let current = current.filter(|name| !name.is_empty());
        let mut out = anstream::stdout().lock();
        match self {
            Self::View(verb) => verb.run(&files, config, current.as_deref()),
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
                file::choose(files.default_path(), &name)?;
                Ok(writeln!(out, "Switched to context {name:?}.")?)
            }
            changes => {
                let said = changes.change(global, files, config, current.as_deref())?;
                Ok(writeln!(out, "{said}")?)
            }
        }
    }

    /// Changes the file; what there is to say of it.
    fn change(self, global: &Global, files: Files, mut config: Value, current: Option<&str>) -> anyhow::Result<String> {
        let file = files.default_path().display().to_string();
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
        files.write(&config)?;
        Ok(said)
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
