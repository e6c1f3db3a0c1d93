//! `create configmap`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::{Sources, hash, metadata};

/// Arguments of `create configmap`.
#[derive(Args, Debug)]
pub struct ConfigMap {
    /// Its name.
    name: String,
    #[command(flatten)]
    sources: Sources,
    /// Put a hash of what is in it behind the name.
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    pub creating: Creating,
}

impl ConfigMap {
    pub fn object(&self) -> anyhow::Result<Value> {
        let (mut data, mut binary) = (Map::new(), Map::new());
        for (key, value) in self.sources.read("ConfigMap", &self.name)? {
            match String::from_utf8(value) {
                Ok(text) => data.insert(key, Value::from(text)),
                Err(bytes) => binary.insert(key, Value::from(STANDARD.encode(bytes.as_bytes()))),
            };
        }
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&self.name)});
        if self.append_hash {
            let mut content = json!({"kind": "ConfigMap", "name": self.name, "data": data});
            if !binary.is_empty() {
                content["binaryData"] = json!(binary);
            }
            object["metadata"]["name"] = json!(format!("{}-{}", self.name, hash(&content)));
        }
        for (field, map) in [("data", data), ("binaryData", binary)] {
            if !map.is_empty() {
                object[field] = Value::Object(map);
            }
        }
        Ok(object)
    }
}
