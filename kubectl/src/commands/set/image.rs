//! `set image`: `CONTAINER=IMAGE`, or `*=IMAGE` for all containers.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::Setting;
use crate::cli::Global;
use crate::commands::changing::{apart, containers, pod_spec};
use crate::resources::Resource;

/// Arguments of `set image`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set image deployment/web nginx=nginx:1.27
  minikctl set image pods,deployments -l app=web '*=nginx:1.27'
  minikctl set image -f web.yaml nginx=nginx:1.27 --local -o yaml")]
pub struct SetImage {
    /// The objects, then CONTAINER=IMAGE.
    #[arg(value_name = "KIND NAME CONTAINER=IMAGE")]
    words: Vec<String>,
    #[command(flatten)]
    setting: Setting,
}

impl SetImage {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let (words, images) = apart(&self.words, false);
        if images.is_empty() {
            bail!("at least one image update is required");
        }
        let pairs: Vec<(&str, &str)> = images.iter().filter_map(|pair| pair.split_once('=')).collect();
        let failed = "image update to pod template:";
        let edit = |resource: &Resource, object: &mut Value| set(resource, object, &pairs);
        self.setting.change(global, &words, failed, &edit).await
    }
}

/// Sets the images of one object's containers. Pure.
fn set(resource: &Resource, object: &mut Value, pairs: &[(&str, &str)]) -> anyhow::Result<&'static str> {
    let spec = pod_spec(resource, object)?;
    for (name, image) in pairs {
        let mut found = false;
        for container in containers(spec, name, true) {
            found = true;
            container["image"] = Value::from(*image);
        }
        if !found {
            bail!("unable to find container named {name:?}");
        }
    }
    Ok("image updated")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::local;
    use serde_json::json;

    #[test]
    fn images_are_set_by_containers_names() {
        let mut object = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "i", "image": "0"}], "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}}}});
        let resource = local::resource("apps/v1", "Deployment");
        set(&resource, &mut object, &[("a", "x"), ("i", "y")]).expect("set");
        let spec = &object["spec"]["template"]["spec"];
        assert_eq!(spec["containers"][0]["image"], "x");
        assert_eq!(spec["containers"][1]["image"], "2");
        assert_eq!(spec["initContainers"][0]["image"], "y");
        set(&resource, &mut object, &[("*", "z")]).expect("set");
        assert_eq!(object["spec"]["template"]["spec"]["containers"][1]["image"], "z");
        assert!(set(&resource, &mut object, &[("c", "x")]).is_err());
        assert!(set(&local::resource("v1", "Service"), &mut object, &[("a", "x")]).is_err());
    }
}
