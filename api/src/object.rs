//! `Object`: any object of the API, as JSON with typed metadata.
//!
//! Generic code (registry, store, watch) needs only the metadata; a kind's rules look inside through the typed k8s-openapi
//! structs ([`Object::decode`]).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of any kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// `v1`, `apps/v1`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// `Pod`
    #[serde(default)]
    pub kind: String,
    /// Name, labels, resource version and the like.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Everything else: `spec`, `status`, `data`, …
    #[serde(flatten)]
    pub body: Map<String, Value>,
}

impl Object {
    /// The name; empty while only `generateName` is there.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The namespace; empty for cluster kinds.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The value at a dotted path of the body, `spec.nodeName`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut value = self.body.get(parts.next()?)?;
        for part in parts {
            value = value.get(part)?;
        }
        Some(value)
    }

    /// As the typed struct of its kind.
    ///
    /// # Errors
    /// When a field has another type than the struct says.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.to_value())
    }

    /// From a typed struct.
    ///
    /// # Errors
    /// When it isn't a JSON object or its metadata has wrong types.
    pub fn encode(typed: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(typed)?)
    }

    /// As plain JSON.
    ///
    /// # Panics
    /// Never: all keys are strings.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("an object has only string keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_kept() {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        let object: Object = serde_json::from_value(value.clone()).expect("a ConfigMap");
        assert_eq!(object.at("data.k"), Some(&json!("v")));
        assert_eq!(object.to_value(), value);
    }
}
