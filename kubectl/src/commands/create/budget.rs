//! `create poddisruptionbudget`.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create poddisruptionbudget`.
#[derive(Args, Debug)]
pub struct Budget {
    /// Its name.
    name: String,
    /// How many pods there have to be: 2 or 50%.
    #[arg(long, value_name = "NUMBER")]
    min_available: Option<String>,
    /// How many pods may be missing: 1 or 30%.
    #[arg(long, value_name = "NUMBER")]
    max_unavailable: Option<String>,
    /// Whose pods: app=web.
    #[arg(long, value_name = "SELECTOR", default_value = "", hide_default_value = true)]
    selector: String,
    #[command(flatten)]
    pub creating: Creating,
}

impl Budget {
    pub fn object(&self) -> anyhow::Result<Value> {
        if self.selector.is_empty() {
            bail!("a selector must be specified");
        }
        let mut spec = Map::new();
        match (&self.min_available, &self.max_unavailable) {
            (None, None) => bail!("one of min-available or max-unavailable must be specified"),
            (Some(_), Some(_)) => bail!("min-available and max-unavailable cannot be both specified"),
            (Some(number), None) => spec.insert("minAvailable".to_owned(), count("min-available", number)?),
            (None, Some(number)) => spec.insert("maxUnavailable".to_owned(), count("max-unavailable", number)?),
        };
        spec.insert("selector".to_owned(), json!({"matchLabels": labels(&self.selector)?}));
        Ok(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(&self.name), "spec": spec,
            "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
        }))
    }
}

fn count(flag: &str, text: &str) -> anyhow::Result<Value> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let number: u32 = digits
        .parse()
        .map_err(|_| anyhow!("invalid format specified for {flag}"))?;
    Ok(if digits.len() < text.len() {
        json!(text)
    } else {
        json!(number)
    })
}

fn labels(selector: &str) -> anyhow::Result<Map<String, Value>> {
    let mut labels = Map::new();
    for pair in selector.split(',') {
        let (key, value) = pair
            .split_once("==")
            .or_else(|| pair.split_once('='))
            .filter(|(key, _)| !key.ends_with('!'))
            .ok_or_else(|| anyhow!("{pair:?}: only equality-based selectors, such as app=web, are supported"))?;
        labels.insert(key.trim().to_owned(), json!(value.trim()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares() {
        assert_eq!(count("x", "2").expect("a number"), json!(2));
        assert_eq!(count("x", "50%").expect("a share"), json!("50%"));
        assert!(count("x", "half").is_err());
        assert_eq!(
            Value::Object(labels("a=b,c==d").expect("equalities")),
            json!({"a": "b", "c": "d"})
        );
        assert!(labels("a!=b").is_err() && labels("a in (b)").is_err());
    }
}
