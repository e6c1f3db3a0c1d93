//! `set resources`: what containers ask for, and may use at most.

use anyhow::{anyhow, bail};
use clap::Args;
use minik_api::quantity::Quantity;
use serde_json::{Map, Value};

use super::Setting;
use crate::cli::Global;
use crate::commands::changing::{containers, pod_spec};
use crate::resources::Resource;

/// Arguments of `set resources`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set resources deployment web --limits=cpu=200m,memory=512Mi --requests=cpu=100m,memory=256Mi
  minikctl set resources deployment web -c nginx --limits=cpu=0      # takes the limit away")]
pub struct SetResources {
    /// The objects.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    /// The containers, with * for any text.
    #[arg(short, long, default_value = "*", value_name = "PATTERN")]
    containers: String,
    /// At most this: cpu=200m,memory=512Mi.
    #[arg(long, value_name = "LIST")]
    limits: Option<String>,
    /// At least this: cpu=100m,memory=256Mi.
    #[arg(long, value_name = "LIST")]
    requests: Option<String>,
    #[command(flatten)]
    setting: Setting,
}

impl SetResources {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.limits.is_none() && self.requests.is_none() {
            bail!("you must specify an update to requests or limits (in the form of --requests/--limits)");
        }
        let lists = [
            ("limits", quantities(self.limits.as_deref())?),
            ("requests", quantities(self.requests.as_deref())?),
        ];
        let edit = |resource: &Resource, object: &mut Value| set(resource, object, &self.containers, &lists);
        let failed = "resources update to pod template";
        self.setting.change(global, &self.words, failed, &edit).await
    }
}

/// `cpu=200m,memory=512Mi` as a map. Pure.
fn quantities(list: Option<&str>) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in list.into_iter().flat_map(|list| list.split(',')) {
        let (name, amount) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("invalid argument syntax {pair:?}, expected <resource>=<value>"))?;
        let parsed: Result<Quantity, _> = amount.parse();
        parsed.map_err(|error| anyhow!("{error}"))?;
        map.insert(name.to_owned(), Value::from(amount));
    }
    Ok(map)
}

/// Sets or, where the amount is 0, removes them. Pure.
fn set(
    resource: &Resource,
    object: &mut Value,
    pattern: &str,
    lists: &[(&str, Map<String, Value>)],
) -> anyhow::Result<&'static str> {
    let mut found = false;
    for container in containers(pod_spec(resource, object)?, pattern, false) {
        found = true;
        for (list, amounts) in lists {
            for (name, amount) in amounts {
                if amount == "0" {
                    let present = container.pointer_mut(&format!("/resources/{list}"));
                    if let Some(present) = present.and_then(Value::as_object_mut) {
                        present.remove(name);
                    }
                } else {
                    container["resources"][*list][name] = amount.clone();
                }
            }
        }
    }
    if !found {
        bail!("unable to find container named {pattern:?}");
    }
    Ok("resource requirements updated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::local;
    use serde_json::json;

    #[test]
    fn amounts_are_set_and_removed() {
        let mut pod =
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}});
        let lists = [
            ("limits", quantities(Some("cpu=0,memory=2Gi")).expect("amounts")),
            ("requests", quantities(Some("cpu=100m")).expect("amounts")),
        ];
        set(&local::resource("v1", "Pod"), &mut pod, "*", &lists).expect("set");
        let resources = &pod["spec"]["containers"][0]["resources"];
        assert_eq!(
            resources,
            &json!({"limits": {"memory": "2Gi"}, "requests": {"cpu": "100m"}})
        );
        assert!(quantities(Some("cpu=lots")).is_err() && quantities(Some("cpu")).is_err());
        assert!(set(&local::resource("v1", "Pod"), &mut pod, "b", &lists).is_err());
    }
}
