//! `rollout restart`, `pause` and `resume`: a field of the object each; controllers do the rest.

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::Global;
use crate::commands::changing::{Changing, Edit};
use crate::commands::objects::{Files, Selection};
use crate::commands::writing::Writing;
use crate::resources::Resource;

/// The annotation whose change makes every pod a new one.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Arguments of `rollout restart`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout restart deployment/web
  minikctl rollout restart deployment -l app=web")]
pub struct Restart {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `rollout pause`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout pause deployment/web")]
pub struct Pause {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `rollout resume`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout resume deployment/web")]
pub struct Resume {
    #[command(flatten)]
    which: Which,
}

/// Which objects.
#[derive(Args, Clone, Debug)]
struct Which {
    /// The objects: deployment/web, daemonset web.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    writing: Writing,
}

impl Restart {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.which
            .change(global, &|resource, object| restart(resource, object, &now))
            .await
    }
}

impl Pause {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        self.which
            .change(global, &|resource, object| pause(resource, object, true))
            .await
    }
}

impl Resume {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        self.which
            .change(global, &|resource, object| pause(resource, object, false))
            .await
    }
}

impl Which {
    async fn change(&self, global: &Global, edit: &Edit<'_>) -> anyhow::Result<()> {
        if self.words.is_empty() && self.files.filename.is_empty() {
            bail!("required resource not specified");
        }
        let mut selection = self.selection.clone();
        // A kind alone means all its objects.
        selection.all |= self.words.len() == 1 && !self.words[0].contains('/') && !selection.is_given();
        let changing = Changing {
            words: &self.words,
            files: &self.files,
            selection: &selection,
            local: false,
            writing: &self.writing,
            manager: "kubectl-rollout",
            failed: "",
        };
        changing.run(global, edit).await
    }
}

fn restart(resource: &Resource, object: &mut Value, now: &str) -> anyhow::Result<&'static str> {
    match resource.kind.as_str() {
        "Deployment" if object["spec"]["paused"] == true => {
            bail!("can't restart paused deployment (run rollout resume first)")
        }
        "Deployment" | "DaemonSet" | "StatefulSet" => {}
        _ => bail!("{} restarting is not supported", resource.qualified()),
    }
    let at = &mut object["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT];
    if at == now {
        bail!(
            "if restart has already been triggered within the past second, please wait before attempting to trigger another"
        );
    }
    *at = Value::from(now);
    Ok("restarted")
}

fn pause(resource: &Resource, object: &mut Value, pause: bool) -> anyhow::Result<&'static str> {
    let (what, already) = if pause {
        ("pausing", "paused")
    } else {
        ("resuming", "not paused")
    };
    if resource.kind != "Deployment" {
        bail!("{} {what} is not supported", resource.qualified());
    }
    if (object["spec"]["paused"] == true) == pause {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        bail!(
            "{} {name:?} is {}{already}",
            resource.qualified(),
            if pause { "already " } else { "" }
        );
    }
    if pause {
        object["spec"]["paused"] = Value::Bool(true);
    } else if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("paused");
    }
    Ok(if pause { "paused" } else { "resumed" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::local;
    use serde_json::json;

    #[test]
    fn each_verb_is_one_field() {
        let deployment = local::resource("apps/v1", "Deployment");
        let mut object = json!({"metadata": {"name": "web"}, "spec": {"template": {}}});
        assert_eq!(restart(&deployment, &mut object, "now").expect("fine"), "restarted");
        assert_eq!(
            object["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT],
            "now"
        );
        assert_eq!(pause(&deployment, &mut object, true).expect("fine"), "paused");
        let error = pause(&deployment, &mut object, true).expect_err("twice").to_string();
        assert_eq!(error, "deployments.apps \"web\" is already paused");
        assert!(
            restart(&deployment, &mut object, "later").is_err(),
            "a paused one starts nothing"
        );
        pause(&deployment, &mut object, false).expect("fine");
        assert_eq!(object["spec"].get("paused"), None);
        let error = pause(&deployment, &mut object, false).expect_err("twice").to_string();
        assert_eq!(error, "deployments.apps \"web\" is not paused");
        assert!(restart(&local::resource("v1", "Pod"), &mut object, "now").is_err());
    }
}
