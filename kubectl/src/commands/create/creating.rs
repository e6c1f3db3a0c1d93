//! What all of `create`'s forms share: their flags, and the request.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::apply;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::local;
use crate::commands::writing::{DryRun, Writing};
use crate::failure::Failure;

/// The flags of everything that creates.
#[derive(Args, Clone, Debug, Default)]
pub struct Creating {
    /// What the server does about fields that it does not know.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub validate: Validate,
    /// Have the object remember this, so that `apply` can change it later.
    #[arg(long)]
    pub save_config: bool,
    #[command(flatten)]
    pub writing: Writing,
}

/// `--validate`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Validate {
    /// Refuse the object.
    #[default]
    #[value(aliases = ["true"])]
    Strict,
    /// Warn about them.
    Warn,
    /// Drop them silently.
    #[value(aliases = ["false"])]
    Ignore,
}

impl Validate {
    /// As the server's query has it.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

impl Creating {
    /// Creates what a generator made, and tells of it.
    ///
    /// # Errors
    /// Those of asking the server.
    pub async fn create(&self, global: &Global, mut object: Value) -> anyhow::Result<()> {
        let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
        let mut resource = local::resource(&api_version, &kind);
        if let Some(namespace) = global.namespace.as_ref().filter(|_| resource.namespaced) {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if self.save_config {
            object = apply::annotated(&object);
        }
        if self.writing.dry_run != DryRun::Client {
            let session = Session::open(global).await?;
            let served = session.serving(&api_version, &kind).await?;
            resource = served.ok_or_else(|| {
                anyhow!("no matches for kind {kind:?} in version {api_version:?}: the server has no such kind")
            })?;
            let collection = resource.collection(Some(&session.namespace));
            let prefix = match (object["spec"]["type"].as_str(), failed_to(&kind)) {
                (Some(of), _) if kind == "Service" => Some(format!("failed to create {of} service:")),
                (_, prefix) => prefix.map(str::to_owned),
            };
            object = match (self.send(&session, &collection, &object).await, prefix) {
                (Ok(object), _) => object,
                (Err(Failure::Api(status)), Some(prefix)) => return Err(anyhow!("{prefix} {}", status.message)),
                (Err(failure), _) => return Err(failure.into()),
            };
        }
        Ok(self.writing.teller().tell(&resource, &object, "created")?)
    }

    /// The request.
    ///
    /// # Errors
    /// Those of asking the server.
    pub async fn send(&self, session: &Session, collection: &str, object: &Value) -> Result<Value, Failure> {
        let query = self
            .writing
            .query("kubectl-create", &[("fieldValidation", self.validate.parameter())]);
        session
            .send(
                Method::POST,
                &format!("{collection}{query}"),
                "application/json",
                object,
            )
            .await
    }
}

/// The words that kubectl puts before the server's; for some kinds none.
fn failed_to(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "ClusterRoleBinding" => "failed to create clusterrolebinding:",
        "ConfigMap" => "failed to create configmap:",
        "CronJob" => "failed to create cronjob:",
        "Deployment" => "failed to create deployment:",
        "Ingress" => "failed to create ingress:",
        "Job" => "failed to create job:",
        "PodDisruptionBudget" => "failed to create poddisruptionbudgets:",
        "PriorityClass" => "failed to create priorityclass:",
        "ResourceQuota" => "failed to create quota:",
        "RoleBinding" => "failed to create rolebinding:",
        "Secret" => "failed to create secret",
        "ServiceAccount" => "failed to create serviceaccount:",
        _ => return None,
    })
}
