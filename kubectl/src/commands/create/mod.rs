//! `create`: objects that are not there yet, from files or from a few words.
//!
//! A generator is an `Args` struct with a pure `object()`: the words become the object that kubectl would make of them. All of
//! them are sent by `creating`.

mod binding;
mod budget;
mod configmap;
mod creating;
mod ingress;
mod namespace;
mod priority_class;
mod quota;
mod role;
mod secret;
mod service;
mod service_account;
mod sources;
mod token;
mod workload;

use std::fs;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use minik_api::selector::Labels;
use serde_json::Value;

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::edit;
use crate::commands::local;
use crate::commands::objects::{Files, Named, finish, kind_of};
use crate::commands::writing::{DryRun, Teller};
use crate::manifest::{self, Document};
pub use binding::Subjects;
pub use creating::{Creating, Validate};

/// Arguments of `create`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  minikctl create -f pod.yaml
  minikctl create namespace test
  minikctl create configmap settings --from-literal=colour=blue --from-file=app.conf
  minikctl create deployment web --image=nginx --replicas=2
  minikctl create job once --image=busybox -- date
  minikctl create token default"
)]
pub struct Create {
    #[command(subcommand)]
    generator: Option<Generator>,
    #[command(flatten)]
    files: Files,
    /// Send the file to this path as it is.
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
    /// Open an editor on the objects before they are created.
    #[arg(long)]
    edit: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Write the editor's file with the line endings of Windows (with --edit).
    #[arg(long)]
    windows_line_endings: bool,
    #[command(flatten)]
    creating: Creating,
}

/// What can be made of a few words.
#[derive(Subcommand, Debug)]
enum Generator {
    /// Create a cluster role
    Clusterrole(role::ClusterRole),
    /// Create a cluster role binding
    Clusterrolebinding(binding::ClusterRoleBinding),
    /// Create a config map from values and files
    #[command(visible_alias = "cm")]
    Configmap(configmap::ConfigMap),
    /// Create a cron job
    #[command(visible_alias = "cj")]
    Cronjob(workload::CronJob),
    /// Create a deployment
    #[command(visible_alias = "deploy")]
    Deployment(workload::Deployment),
    /// Create an ingress
    #[command(visible_alias = "ing")]
    Ingress(ingress::Ingress),
    /// Create a job
    Job(workload::Job),
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace(namespace::Namespace),
    /// Create a pod disruption budget
    #[command(visible_alias = "pdb")]
    Poddisruptionbudget(budget::Budget),
    /// Create a priority class
    #[command(visible_alias = "pc")]
    Priorityclass(priority_class::PriorityClass),
    /// Create a resource quota
    #[command(visible_alias = "resourcequota")]
    Quota(quota::Quota),
    /// Create a role
    Role(role::Role),
    /// Create a role binding
    Rolebinding(binding::RoleBinding),
    /// Create a secret
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Create a service
    #[command(subcommand, visible_alias = "svc")]
    Service(service::Service),
    /// Create a service account
    #[command(visible_alias = "sa")]
    Serviceaccount(service_account::ServiceAccount),
    /// Ask for a token of a service account
    Token(token::Token),
}

impl Create {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let Some(generator) = &self.generator else {
            return self.of_files(global).await;
        };
        let mut global = global.clone();
        if matches!(generator, Generator::Rolebinding(_) | Generator::Clusterrolebinding(_)) {
            // Here --user is to whom the role is given, not who asks.
            global.connection.user = None;
        }
        let global = &global;
        let (creating, object) = match generator {
            Generator::Clusterrole(words) => (&words.creating, words.object(&Session::open(global).await?).await?),
            Generator::Clusterrolebinding(words) => (&words.creating, words.object()?),
            Generator::Configmap(words) => (&words.creating, words.object()?),
            Generator::Cronjob(words) => (&words.creating, words.object()),
            Generator::Deployment(words) => (&words.creating, words.object()?),
            Generator::Ingress(words) => (&words.creating, words.object()?),
            Generator::Job(words) => (&words.creating, words.object(global).await?),
            Generator::Namespace(words) => (&words.creating, words.object()),
            Generator::Poddisruptionbudget(words) => (&words.creating, words.object()?),
            Generator::Priorityclass(words) => (&words.creating, words.object()),
            Generator::Quota(words) => (&words.creating, words.object()?),
            Generator::Role(words) => (&words.creating, words.object(&Session::open(global).await?).await?),
            Generator::Rolebinding(words) => (&words.creating, words.object()?),
            Generator::Secret(words) => (words.creating(), words.object()?),
            Generator::Service(words) => (words.creating(), words.object()?),
            Generator::Serviceaccount(words) => (&words.creating, words.object()),
            Generator::Token(words) => return words.run(global).await,
        };
        creating.create(global, object).await
    }

    async fn of_files(&self, global: &Global) -> anyhow::Result<()> {
        if self.files.filename.is_empty() {
            bail!(
                "must specify one of -f and -k: `minikctl create -f FILE`, or what to create: `minikctl create configmap NAME`"
            );
        }
        if let Some(path) = &self.raw {
            return as_it_is(global, &self.files, Method::POST, path).await;
        }
        let documents = manifest::read(&self.files.filename, self.files.recursive).await;
        if documents.is_empty() {
            return Err(manifest::ManifestError::Empty { verb: "create" }.into());
        }
        let selector = self.selector.as_deref().map(Labels::parse).transpose()?;
        let documents = documents.into_iter().filter(|document| match (&selector, document) {
            (Some(selector), Ok(document)) => selector.matches(&document.labels()),
            _ => true,
        });
        let session = Session::open(global).await?;
        if self.edit {
            return self.edited(&session, documents).await;
        }
        let mut teller = self.creating.writing.teller();
        let mut errors = Vec::new();
        for document in documents {
            let created = async { self.one(&session, &mut teller, document?).await };
            if let Err(error) = created.await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    /// Has the user edit the objects before they are created.
    async fn edited(
        &self,
        session: &Session,
        documents: impl Iterator<Item = Result<Document, manifest::ManifestError>>,
    ) -> anyhow::Result<()> {
        let mut new = Vec::new();
        for document in documents {
            let mut document = document?;
            let resource = kind_of(session, &mut document).await?;
            new.push(Named {
                resource,
                namespace: document.text("/metadata/namespace").to_owned(),
                name: document.text("/metadata/name").to_owned(),
                document: Some(document),
                object: None,
            });
        }
        let Creating {
            validate,
            save_config,
            writing,
        } = &self.creating;
        edit::before_creating(
            session,
            new,
            *save_config,
            *validate,
            self.windows_line_endings,
            writing,
        )
        .await
    }

    async fn one(&self, session: &Session, teller: &mut Teller<'_>, mut document: Document) -> anyhow::Result<()> {
        let resource = kind_of(session, &mut document).await?;
        let object = match self.creating.save_config {
            true => apply::annotated(&document.object),
            false => document.object.clone(),
        };
        if self.creating.writing.dry_run == DryRun::Client {
            let resource = local::resource(document.text("/apiVersion"), document.text("/kind"));
            return Ok(teller.tell(&resource, &object, "created")?);
        }
        let collection = resource.collection(Some(document.text("/metadata/namespace")));
        let created = self.creating.send(session, &collection, &object).await;
        let object = created.map_err(|failure| failure.when("creating", &document.place()))?;
        Ok(teller.tell(&resource, &object, "created")?)
    }
}

/// Sends the one file to a path as it is.
///
/// # Errors
/// When it can't be read, and those of asking.
pub async fn as_it_is(global: &Global, files: &Files, method: Method, path: &str) -> anyhow::Result<()> {
    let [file] = files.filename.as_slice() else {
        bail!("--raw can only use a single local file or stdin");
    };
    let text = match file.as_str() {
        "-" => std::io::read_to_string(std::io::stdin())?,
        file => fs::read_to_string(file).with_context(|| file.to_owned())?,
    };
    let body: Value = manifest::yaml::one(&text).map_err(|problem| anyhow::anyhow!("{file}: {problem}"))?;
    let session = Session::open(global).await?;
    let answer = session.send(method, path, "application/json", &body).await?;
    anstream::println!("{answer}");
    Ok(())
}
