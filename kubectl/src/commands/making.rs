//! Creating the one object that a verb made of its words: `create`'s generators, and with overrides `run`, `expose` and
//! `autoscale`.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::local;
use crate::commands::writing::{DryRun, Writing};
use crate::resources::Resource;

/// `--save-config`, `--overrides`, and how it is written and told.
#[derive(Args, Clone, Debug, Default)]
pub struct Making {
    /// Keep what was sent in the object, so that apply knows it later.
    #[arg(long)]
    pub save_config: bool,
    /// A patch over the object, as JSON.
    #[arg(long, value_name = "JSON")]
    pub overrides: Option<String>,
    /// How the overrides are merged.
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub override_type: OverrideType,
    #[command(flatten)]
    pub writing: Writing,
}

/// The language of `--overrides`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OverrideType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    #[default]
    Merge,
    /// Kubernetes' own.
    Strategic,
}

impl Making {
    /// The object with the user's overrides. Pure.
    ///
    /// # Errors
    /// When they are no patch for it.
    pub fn overridden(&self, object: Value) -> anyhow::Result<Value> {
        let Some(text) = &self.overrides else {
            return Ok(object);
        };
        let patch: Value = serde_json::from_str(text).map_err(|error| anyhow!("Invalid JSON Patch: {error}"))?;
        match self.override_type {
            OverrideType::Json => local::json_patch(&object, &patch),
            OverrideType::Merge => local::merge_patch(&object, &patch),
            OverrideType::Strategic => local::strategic_patch(&object, &patch),
        }
    }

    /// Creates it, as far as this is for real, and tells `pod/nginx created`.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn create(&self, global: &Global, manager: &str, object: Value, what: &str) -> anyhow::Result<Value> {
        let (resource, object) = self.send(global, manager, object).await?;
        self.writing.teller().tell(&resource, &object, what)?;
        Ok(object)
    }

    /// The same without telling.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn send(&self, global: &Global, manager: &str, object: Value) -> anyhow::Result<(Resource, Value)> {
        let made = Made {
            save_config: self.save_config,
            writing: &self.writing,
            manager,
            further: &[],
        };
        made.send(global, object, |object| self.overridden(object)).await
    }
}

/// How an object that a verb made is sent.
#[derive(Debug)]
pub struct Made<'a> {
    /// Whether it remembers itself for `apply`.
    pub save_config: bool,
    /// `--dry-run`, whose fields they are.
    pub writing: &'a Writing,
    /// The same, where the user doesn't say.
    pub manager: &'a str,
    /// Further parameters of the request.
    pub further: &'a [(&'a str, &'a str)],
}

impl Made<'_> {
    /// Puts the object into the namespace, has `finish` give it its last shape, and creates it as far as this is for real.
    ///
    /// # Errors
    /// Those of the server and of `finish`.
    pub async fn send(
        &self,
        global: &Global,
        mut object: Value,
        finish: impl FnOnce(Value) -> anyhow::Result<Value>,
    ) -> anyhow::Result<(Resource, Value)> {
        let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let known = local::resource(&text(&object, "apiVersion"), &text(&object, "kind"));
        if let Some(namespace) = global.namespace.as_ref().filter(|_| known.namespaced) {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object = finish(object)?;
        if self.save_config {
            object = apply::annotated(&object);
        }
        let (api_version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
        if self.writing.dry_run == DryRun::Client {
            return Ok((local::resource(&api_version, &kind), object));
        }
        let session = Session::open(global).await?;
        let served = session.serving(&api_version, &kind).await?;
        let resource = served.ok_or_else(|| {
            anyhow!("no matches for kind {kind:?} in version {api_version:?}: the server has no such kind")
        })?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&session.namespace);
        let query = self.writing.query(self.manager, self.further);
        let path = format!("{}{query}", resource.collection(Some(namespace)));
        let created = session.send(Method::POST, &path, "application/json", &object).await?;
        Ok((resource, created))
    }
}
