//! `set serviceaccount`: as whom pods talk to the API server.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::Setting;
use crate::cli::Global;
use crate::commands::changing::pod_spec;
use crate::resources::Resource;

/// Arguments of `set serviceaccount`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set serviceaccount deployment web robot")]
pub struct SetServiceAccount {
    /// The objects, then the service account's name.
    #[arg(value_name = "KIND NAME ACCOUNT")]
    words: Vec<String>,
    #[command(flatten)]
    setting: Setting,
}

impl SetServiceAccount {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let Some((account, words)) = self.words.split_last() else {
            bail!("serviceaccount is required");
        };
        let edit = |resource: &Resource, object: &mut Value| {
            let spec = pod_spec(resource, object)?;
            spec["serviceAccountName"] = Value::from(account.as_str());
            // The name's old field follows, or the server would take the two for different wishes.
            if spec.get("serviceAccount").is_some() {
                spec["serviceAccount"] = Value::from(account.as_str());
            }
            Ok("serviceaccount updated")
        };
        self.setting.change(global, words, "ServiceAccountName", &edit).await
    }
}
