//! `replace`: put whole objects in the place of what is there.

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::Value;

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::create::{Validate, as_it_is};
use crate::commands::objects::{Files, Named, finish};
use crate::commands::removing::Removing;
use crate::commands::writing::{DryRun, Teller, Writing};
use crate::failure::Failure;
use crate::manifest::Document;

/// Arguments of `replace`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl replace -f pod.yaml
  minikctl get pod nginx -o yaml | sed 's/1.27/1.28/' | minikctl replace -f -
  minikctl replace --force -f pod.yaml")]
pub struct Replace {
    #[command(flatten)]
    files: Files,
    /// Delete what is there and create it anew.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    removing: Removing,
    /// Send the file to this path as it is.
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
    /// Replace a part of the object that has a path of its own: status, scale.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
    /// Have the object remember this, so that `apply` can change it later.
    #[arg(long)]
    save_config: bool,
    #[command(flatten)]
    writing: Writing,
}

impl Replace {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.files.filename.is_empty() {
            bail!("must specify --filename to replace: `minikctl replace -f FILE`");
        }
        if let Some(path) = &self.raw {
            return as_it_is(global, &self.files, Method::PUT, path).await;
        }
        if self.force && self.writing.dry_run != DryRun::None {
            bail!("--dry-run can not be used when --force is set");
        }
        let session = Session::open(global).await?;
        let (found, mut errors) = self.files.find(&session).await?;
        if found.is_empty() && errors.is_empty() {
            bail!("no objects passed to replace");
        }
        let mut teller = self.writing.teller();
        if self.force {
            for named in &found {
                if self.removing.remove(&session, named.followed()).await? {
                    let kind = named.resource.named("");
                    anstream::println!("{} {:?} deleted", kind.trim_end_matches('/'), named.name);
                }
            }
        }
        for named in found {
            if let Err(error) = self.one(&session, &mut teller, &named).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(&self, session: &Session, teller: &mut Teller<'_>, named: &Named) -> anyhow::Result<()> {
        let document = named.document.as_ref().expect("every object comes from a file");
        let mut object = document.object.clone();
        if self.save_config {
            object = apply::annotated(&object);
        }
        if self.writing.dry_run == DryRun::Client {
            return Ok(teller.tell(&named.resource, &object, "replaced")?);
        }
        let written = if self.force {
            let collection = named.resource.collection(Some(&named.namespace));
            self.send(session, Method::POST, &collection, &object).await
        } else {
            self.put(session, named, object).await
        };
        let object = written.map_err(|failure| failure.when("replacing", &Document::place(document)))?;
        Ok(teller.tell(&named.resource, &object, "replaced")?)
    }

    /// An object that names no version takes the place of whichever there is.
    async fn put(&self, session: &Session, named: &Named, mut object: Value) -> Result<Value, Failure> {
        if object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty) {
            match session.get(&named.path()).await {
                Ok(current) => object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone(),
                Err(failure) if failure.is_not_found() => {}
                Err(failure) => return Err(failure),
            }
        }
        let below = self.subresource.as_ref().map(|name| format!("/{name}"));
        let path = format!("{}{}", named.path(), below.unwrap_or_default());
        self.send(session, Method::PUT, &path, &object).await
    }

    async fn send(&self, session: &Session, method: Method, path: &str, object: &Value) -> Result<Value, Failure> {
        let query = self
            .writing
            .query("kubectl-replace", &[("fieldValidation", self.validate.parameter())]);
        session
            .send(method, &format!("{path}{query}"), "application/json", object)
            .await
    }
}
