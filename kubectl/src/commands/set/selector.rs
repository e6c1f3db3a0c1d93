//! `set selector`: which pods a service selects.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::Setting;
use crate::cli::Global;
use crate::commands::changing::apart;
use crate::resources::Resource;

/// Arguments of `set selector`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set selector service web app=web,tier=front")]
pub struct SetSelector {
    /// The services, then LABEL=VALUE, with commas between.
    #[arg(value_name = "service NAME LABELS")]
    words: Vec<String>,
    /// Only when the object still is in this version.
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    #[command(flatten)]
    setting: Setting,
}

impl SetSelector {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let (words, labels) = apart(&self.words, false);
        let selector = labels_of(&labels)?;
        let edit = |resource: &Resource, object: &mut Value| {
            if resource.kind != "Service" {
                bail!("setting a selector is only supported for Services");
            }
            if let Some(version) = &self.resource_version {
                object["metadata"]["resourceVersion"] = Value::from(version.as_str());
            }
            object["spec"]["selector"] = Value::Object(selector.clone());
            Ok("selector updated")
        };
        self.setting.change(global, &words, "", &edit).await
    }
}

/// `a=b,c=d` as labels. Pure.
fn labels_of(words: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut labels = Map::new();
    for pair in words.iter().flat_map(|word| word.split(',')) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("{pair:?} is no label: write NAME=VALUE"))?;
        labels.insert(name.to_owned(), Value::from(value));
    }
    if labels.is_empty() {
        bail!("one selector is required: NAME=VALUE");
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let of = |text: &str| labels_of(&[text.to_owned()]).map(Value::Object).ok();
        assert_eq!(of("a=b,c=d"), Some(serde_json::json!({"a": "b", "c": "d"})));
        assert_eq!(of("a"), None);
    }
}
