//! What all of `create`'s forms share: their flags, the request for what a file says, and the words before what the server says.
//! What a generator made is sent as `making` sends all that verbs make.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::making::Made;
use crate::commands::writing::Writing;
use crate::failure::Failure;

/// kubectl's name for who creates.
const MANAGER: &str = "kubectl-create";

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
    pub async fn create(&self, global: &Global, object: Value) -> anyhow::Result<()> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let prefix = match (object["spec"]["type"].as_str(), failed_to(kind)) {
            (Some(of), _) if kind == "Service" => Some(format!("failed to create {of} service:")),
            (_, prefix) => prefix.map(str::to_owned),
        };
        let made = Made {
            save_config: self.save_config,
            writing: &self.writing,
            manager: MANAGER,
            further: &[("fieldValidation", self.validate.parameter())],
        };
        let sent = made.send(global, object, Ok).await;
        let (resource, object) = sent.map_err(|error| match (error.downcast_ref(), prefix) {
            (Some(Failure::Api(status)), Some(prefix)) => anyhow!("{prefix} {}", status.message),
            _ => error,
        })?;
        Ok(self.writing.teller().tell(&resource, &object, "created")?)
    }

    /// The request.
    ///
    /// # Errors
    /// Those of asking the server.
    pub async fn send(&self, session: &Session, collection: &str, object: &Value) -> Result<Value, Failure> {
        let query = self
            .writing
            .query(MANAGER, &[("fieldValidation", self.validate.parameter())]);
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
