//! `patch`: change some fields of objects, in the language of one of three patches.

use std::fs;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::local;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};
use crate::manifest::yaml;
use crate::resources::Resource;

/// Arguments of `patch`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl patch node mine -p '{\"spec\":{\"unschedulable\":true}}'
  minikctl patch pod web --type=json -p='[{\"op\": \"replace\", \"path\": \"/spec/containers/0/image\", \"value\":\"nginx\"}]'
  minikctl patch deployment web --subresource=scale --type=merge -p '{\"spec\":{\"replicas\":2}}'")]
pub struct Patch {
    /// The objects: pod nginx, pod/nginx.
    #[arg(value_name = "KIND NAME")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// The patch, as JSON or YAML.
    #[arg(short, long, value_name = "PATCH", conflicts_with = "patch_file")]
    patch: Option<String>,
    /// A file that holds the patch.
    #[arg(long, value_name = "FILE")]
    patch_file: Option<String>,
    /// The patch's language: strategic knows how Kubernetes' lists merge, merge is RFC 7386, json is RFC 6902.
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,
    /// Patch a part of the object that has a path of its own: status, scale, resize.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Patch what the file says, without a server.
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    writing: Writing,
}

/// The language of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    Json,
    Merge,
    #[default]
    Strategic,
}

impl Kind {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

impl Patch {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let patch = self.body()?;
        let mut teller = self.writing.teller();
        if self.local {
            for (resource, object) in local::read(&self.files, "patch").await? {
                let patched = self.locally(&object, &patch)?;
                tell(&mut teller, &resource, &object, &patched)?;
            }
            return Ok(());
        }
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.what,
            files: &self.files,
            selection: &Selection::default(),
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        for named in found {
            let patched = async {
                let before = named.fetch(&session).await?;
                let after = match self.writing.dry_run {
                    DryRun::Client => self.locally(&before, &patch)?,
                    DryRun::None | DryRun::Server => self.send(&session, &named, &patch).await?,
                };
                tell(&mut teller, &named.resource, &before, &after)
            };
            if let Err(error) = patched.await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    fn body(&self) -> anyhow::Result<Value> {
        let text = match (&self.patch, &self.patch_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => {
                fs::read_to_string(file).with_context(|| format!("unable to read patch file {file:?}"))?
            }
            (None, None) => bail!("must specify --patch or --patch-file containing the contents of the patch"),
        };
        let patch = yaml::one(&text).map_err(|problem| anyhow!("unable to parse {text:?}: {problem}"))?;
        if self.kind == Kind::Json && !patch.is_array() {
            bail!(
                "a JSON patch is a list of operations: [{{\"op\": \"replace\", \"path\": \"/spec/x\", \"value\": 1}}]"
            );
        }
        Ok(patch)
    }

    async fn send(&self, session: &Session, named: &Named, patch: &Value) -> anyhow::Result<Value> {
        let mut path = named.path();
        if let Some(subresource) = &self.subresource {
            path = format!("{path}/{subresource}");
        }
        let path = format!("{path}{}", self.writing.query("kubectl-patch", &[]));
        let patched = session
            .send(Method::PATCH, &path, self.kind.content_type(), patch)
            .await;
        Ok(match named.place() {
            Some(place) => patched.map_err(|failure| failure.when("patching", &place))?,
            None => patched?,
        })
    }

    fn locally(&self, object: &Value, patch: &Value) -> anyhow::Result<Value> {
        match self.kind {
            Kind::Json => local::json_patch(object, patch),
            Kind::Merge => local::merge_patch(object, patch),
            Kind::Strategic => local::strategic_patch(object, patch),
        }
    }
}

fn tell(teller: &mut Teller<'_>, resource: &Resource, before: &Value, after: &Value) -> anyhow::Result<()> {
    let what = if before == after {
        "patched (no change)"
    } else {
        "patched"
    };
    Ok(teller.tell(resource, after, what)?)
}
