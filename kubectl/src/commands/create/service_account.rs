//! `create serviceaccount`.

use clap::Args;
use serde_json::{Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create serviceaccount`.
#[derive(Args, Debug)]
pub struct ServiceAccount {
    /// Its name.
    name: String,
    #[command(flatten)]
    pub creating: Creating,
}

impl ServiceAccount {
    pub fn object(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&self.name)})
    }
}
