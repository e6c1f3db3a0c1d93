//! `create quota`.

use anyhow::{anyhow, bail};
use clap::Args;
use minik_api::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create quota`.
#[derive(Args, Debug)]
pub struct Quota {
    /// Its name.
    name: String,
    /// What there may be at most: cpu=1,memory=1Gi,pods=2.
    #[arg(
        long,
        value_name = "RESOURCE=QUANTITY,...",
        default_value = "",
        hide_default_value = true
    )]
    hard: String,
    /// Which objects count: `BestEffort`, `NotTerminating`, ...
    #[arg(long, value_name = "SCOPE,...", default_value = "", hide_default_value = true)]
    scopes: String,
    #[command(flatten)]
    pub creating: Creating,
}

impl Quota {
    pub fn object(&self) -> anyhow::Result<Value> {
        let mut spec = Map::new();
        let hard = hard(&self.hard)?;
        if !hard.is_empty() {
            spec.insert("hard".to_owned(), Value::Object(hard));
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<&str> = self.scopes.split(',').collect();
            if scopes.contains(&"") {
                bail!("invalid resource quota scope \"\"");
            }
            spec.insert("scopes".to_owned(), json!(scopes));
        }
        Ok(json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata(&self.name), "spec": spec, "status": {},
        }))
    }
}

fn hard(text: &str) -> anyhow::Result<Map<String, Value>> {
    let mut hard = Map::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let (resource, quantity) = pair
            .split_once('=')
            .filter(|(_, quantity)| !quantity.contains('='))
            .ok_or_else(|| anyhow!("Invalid argument syntax {pair}, expected <resource>=<value>"))?;
        let quantity: Quantity = quantity.parse().map_err(|_| {
            anyhow!("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        })?;
        hard.insert(resource.to_owned(), json!(quantity.to_string()));
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_pairs() {
        assert_eq!(
            Value::Object(hard("cpu=1,memory=1Gi").expect("good")),
            json!({"cpu": "1", "memory": "1Gi"})
        );
        for text in ["cpu", "cpu=x", "a=1=2", "a=1,"] {
            assert!(hard(text).is_err(), "{text}");
        }
    }
}
