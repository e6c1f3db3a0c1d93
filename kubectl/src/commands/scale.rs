//! `scale`: how many pods, by the scale subresource that all such kinds share.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::commands::writing::{DryRun, Teller, Writing};

/// Arguments of `scale`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl scale deployment/web --replicas=3
  minikctl scale --current-replicas=2 --replicas=3 deployment/web      # only if it has two now
  minikctl scale --replicas=0 statefulset/db deployment/web")]
pub struct Scale {
    /// The objects: deployment/web, statefulset db.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    /// How many.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    replicas: Option<i64>,
    /// Only if there are so many now.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1, hide_default_value = true)]
    current_replicas: i64,
    /// Only if the object still is in this version.
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    /// How long to wait until it is so; 0 means not at all.
    #[arg(long, value_parser = duration::parse, default_value = "0s", value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    writing: Writing,
}

impl Scale {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let replicas = self
            .replicas
            .ok_or_else(|| anyhow!("required flag(s) \"replicas\" not set"))?;
        if replicas < 0 {
            bail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
        }
        if self.current_replicas < -1 {
            bail!("The --current-replicas must specify an integer of -1 or greater");
        }
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        if self.resource_version.is_some() && found.len() > 1 {
            bail!("cannot use --resource-version with multiple resources");
        }
        let mut teller = self.writing.teller();
        let mut scaled = Vec::new();
        for named in found {
            match self.one(&session, &named, replicas, &mut teller).await {
                Ok(()) => scaled.push(named),
                Err(error) => errors.push(error),
            }
        }
        if !self.timeout.is_zero() && self.writing.dry_run == DryRun::None {
            for named in &scaled {
                let so = tokio::time::timeout(self.timeout, until_so(&session, named, replicas)).await;
                so.map_err(|_| anyhow!("timed out waiting for {} to be synced", named.shown()))??;
            }
        }
        finish(errors)
    }

    async fn one(
        &self,
        session: &Session,
        named: &Named,
        replicas: i64,
        teller: &mut Teller<'_>,
    ) -> anyhow::Result<()> {
        let object = named.fetch(session).await?;
        if self.writing.dry_run == DryRun::Client {
            return Ok(teller.tell(&named.resource, &object, "scaled")?);
        }
        let path = format!("{}/scale", named.path());
        let query = self.writing.query("kubectl-scale", &[]);
        if self.current_replicas >= 0 || self.resource_version.is_some() {
            let scale = session.get(&path).await?;
            let mut scale = self.expected(scale)?;
            scale["spec"]["replicas"] = json!(replicas);
            let path = format!("{path}{query}");
            session.send(Method::PUT, &path, "application/json", &scale).await?;
        } else {
            let patch = json!({"spec": {"replicas": replicas}});
            let kind = "application/merge-patch+json";
            session
                .send(Method::PATCH, &format!("{path}{query}"), kind, &patch)
                .await?;
        }
        let shown = if self.writing.output.is_some() {
            session.get(&named.path()).await?
        } else {
            object
        };
        Ok(teller.tell(&named.resource, &shown, "scaled")?)
    }

    /// The scale, if it is what the user took it for.
    fn expected(&self, scale: Value) -> anyhow::Result<Value> {
        let present = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        if self.current_replicas >= 0 && present != self.current_replicas {
            bail!("Expected replicas to be {}, was {present}", self.current_replicas);
        }
        let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if let Some(wanted) = self.resource_version.as_deref().filter(|wanted| *wanted != version) {
            bail!("Expected resource version to be {wanted}, was {version}");
        }
        Ok(scale)
    }
}

/// Returns when the controller has seen the wish and there are so many.
async fn until_so(session: &Session, named: &Named, replicas: i64) -> anyhow::Result<()> {
    named
        .followed()
        .until(session, |object| match object {
            None => bail!("{} was deleted", named.shown()),
            Some(object) => Ok(is_so(object, replicas).then_some(())),
        })
        .await
}

fn is_so(object: &Value, replicas: i64) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    number("/status/replicas") == replicas && number("/status/observedGeneration") >= number("/metadata/generation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_so_when_the_controller_says_so() {
        let object = |generation: i64, seen: i64, count: i64| json!({"metadata": {"generation": generation}, "status": {"observedGeneration": seen, "replicas": count}});
        assert!(is_so(&object(2, 2, 3), 3));
        assert!(!is_so(&object(2, 1, 3), 3));
        assert!(!is_so(&object(2, 2, 2), 3));
    }
}
