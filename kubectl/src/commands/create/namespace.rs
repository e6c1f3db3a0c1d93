//! `create namespace`.

use clap::Args;
use serde_json::{Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create namespace`.
#[derive(Args, Debug)]
pub struct Namespace {
    /// Its name.
    name: String,
    #[command(flatten)]
    pub creating: Creating,
}

impl Namespace {
    pub fn object(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(&self.name), "spec": {}, "status": {}})
    }
}
