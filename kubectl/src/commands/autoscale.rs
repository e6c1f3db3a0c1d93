//! `autoscale`: a HorizontalPodAutoscaler for something that has a number of pods.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::making::Making;
use crate::commands::objects::{Files, Selection, Wanted, finish};

/// Arguments of `autoscale`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl autoscale deployment/web --min=2 --max=10
  minikctl autoscale deployment web --max=5 --cpu-percent=80")]
pub struct Autoscale {
    /// What to scale: deployment/web, statefulset db.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    /// At least so many pods.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1, hide_default_value = true)]
    min: i64,
    /// At most so many.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1, hide_default_value = true)]
    max: i64,
    /// How much of the CPU that they ask for the pods are to use, on average.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true, default_value_t = -1, hide_default_value = true)]
    cpu_percent: i64,
    /// The autoscaler's name; what it scales gives it, where none is said.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    making: Making,
}

impl Autoscale {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.max == -1 {
            bail!("required flag(s) \"max\" not set");
        }
        if self.max < 1 {
            bail!("--max=MAXPODS is required and must be at least 1, max: {}", self.max);
        }
        if self.max < self.min {
            bail!(
                "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {}, min: {}",
                self.max,
                self.min
            );
        }
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &Selection::default(),
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        for named in found {
            let made = async {
                let scaled = named.fetch(&session).await?;
                let kind = named.resource.kind.as_str();
                let scales = ["Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"].contains(&kind);
                if !scales {
                    bail!("cannot autoscale a {kind}");
                }
                let object = self.object(&named.resource.api_version(), kind, &scaled);
                self.making
                    .create(global, "kubectl-autoscale", object, "autoscaled")
                    .await
            };
            if let Err(error) = made.await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    /// The autoscaler. Pure.
    fn object(&self, api_version: &str, kind: &str, scaled: &Value) -> Value {
        let target = &scaled["metadata"]["name"];
        let name = self.name.as_ref().map_or_else(|| target.clone(), |name| json!(name));
        let mut object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"creationTimestamp": null, "name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": target},
                "maxReplicas": self.max,
            },
            "status": {"currentMetrics": null, "desiredReplicas": 0},
        });
        if self.min > 0 {
            object["spec"]["minReplicas"] = json!(self.min);
        }
        if self.cpu_percent >= 0 {
            let target = json!({"type": "Utilization", "averageUtilization": self.cpu_percent});
            object["spec"]["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        autoscale: Autoscale,
    }

    #[test]
    fn the_autoscaler_names_what_it_scales() {
        let line = Line::parse_from(["autoscale", "deploy/web", "--min=2", "--max=5", "--cpu-percent=80"]);
        let object = line
            .autoscale
            .object("apps/v1", "Deployment", &json!({"metadata": {"name": "web"}}));
        assert_eq!(object["metadata"]["name"], "web");
        let spec = &object["spec"];
        assert_eq!(
            spec["scaleTargetRef"],
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
        );
        assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(5)));
        assert_eq!(spec["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
    }
}
