//! Secrets: bytes by key, and a type that says which keys have to be there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names::config_key;
use minik_api::object::Object;
use serde_json::Value;

use super::config_map::{DATA_MAX_BYTES, decoded_len, immutable, keys, size};
use super::{AGE, Column, NAME, Rules, age, checks, fields, fill, text_at};

const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

pub(super) struct Secrets;

impl Rules for Secrets {
    /// `stringData` is only a way to write: it ends up in `data`.
    fn defaults(&self, object: &mut Object) {
        fill::absent(&mut object.body, "type", "Opaque");
        let Some(Value::Object(texts)) = object.body.remove("stringData") else {
            return;
        };
        if let Some(data) = fill::object_or_empty(&mut object.body, "data") {
            for (key, text) in texts {
                let text = text.as_str().unwrap_or_default();
                data.insert(key, STANDARD.encode(text).into());
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (data, path) = (fields(object, "data"), Path::new("data"));
        let mut errors = Vec::new();
        for key in keys(data) {
            checks::name(config_key, key, &path.key(key), &mut errors);
        }
        if size(data, decoded_len) > DATA_MAX_BYTES {
            errors.push(Error::too_long(&path, DATA_MAX_BYTES));
        }
        needed_keys(object, &path, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        checks::immutable(
            new.body.get("type"),
            old.body.get("type"),
            &Path::new("type"),
            &mut errors,
        );
        errors.extend(immutable(new, old, &["data"]));
        errors.extend(self.validate(new));
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Type", "What the secret is for."),
            Column::text("Data", "How many keys it has.").number(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let count = keys(fields(object, "data")).count();
        vec![
            object.name().into(),
            text_at(object, "type").into(),
            count.into(),
            age(object, now).into(),
        ]
    }
}

/// The keys without which a secret of its type is of no use.
fn needed_keys(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let value = |key: &str| {
        fields(object, "data")
            .and_then(|data| data.get(key))
            .and_then(Value::as_str)
    };
    let mut need = |key: &str| errors.push(Error::required(&path.key(key), ""));
    match text_at(object, "type").as_str() {
        "kubernetes.io/service-account-token" => {
            let name = object
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(SERVICE_ACCOUNT));
            if name.is_none_or(String::is_empty) {
                let path = Path::new("metadata").child("annotations").key(SERVICE_ACCOUNT);
                errors.push(Error::required(&path, ""));
            }
        }
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(str::is_empty) => need("ssh-privatekey"),
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| value(key).is_none()) {
                need(key);
            }
        }
        "kubernetes.io/dockercfg" => docker(".dockercfg", value(".dockercfg"), path, errors),
        "kubernetes.io/dockerconfigjson" => docker(".dockerconfigjson", value(".dockerconfigjson"), path, errors),
        _ => {}
    }
}

/// Credentials for registries are JSON; what they are isn't told.
fn docker(key: &str, value: Option<&str>, path: &Path, errors: &mut Vec<Error>) {
    let path = path.key(key);
    let Some(value) = value else {
        errors.push(Error::required(&path, ""));
        return;
    };
    let bytes = STANDARD.decode(value).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<fill::Fields>(&bytes) {
        errors.push(Error::invalid(&path, "<secret contents redacted>", error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated};
    use serde_json::json;

    fn secret(kind: &str, data: &Value) -> Value {
        json!({"metadata": {"name": "s", "namespace": "default"}, "type": kind, "data": data})
    }

    #[test]
    fn string_data_becomes_data() {
        let object = decoded(
            "Secret",
            json!({"data": {"a": "QQ==", "b": "Qg=="}, "stringData": {"a": "x"}}),
        );
        assert_eq!(object.at("data"), Some(&json!({"a": "eA==", "b": "Qg=="})));
        assert_eq!(object.at("stringData"), None);
        assert_eq!(object.at("type"), Some(&json!("Opaque")));
    }

    #[test]
    fn a_type_needs_its_keys() {
        for (kind, data, expected) in [
            ("Opaque", json!({}), vec![]),
            ("example.com/any", json!({}), vec![]),
            (
                "kubernetes.io/tls",
                json!({"tls.crt": ""}),
                vec!["data[tls.key]: Required value"],
            ),
            (
                "kubernetes.io/basic-auth",
                json!({}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            (
                "kubernetes.io/ssh-auth",
                json!({}),
                vec!["data[ssh-privatekey]: Required value"],
            ),
            (
                "kubernetes.io/dockerconfigjson",
                json!({}),
                vec!["data[.dockerconfigjson]: Required value"],
            ),
            (
                "kubernetes.io/dockerconfigjson",
                json!({".dockerconfigjson": "e30="}),
                vec![],
            ),
            (
                "kubernetes.io/service-account-token",
                json!({}),
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
        ] {
            assert_eq!(created("Secret", secret(kind, &data)), expected, "{kind} {data}");
        }
        let told = created(
            "Secret",
            secret("kubernetes.io/dockercfg", &json!({".dockercfg": "c2VjcmV0"})),
        );
        assert!(
            told[0].starts_with("data[.dockercfg]: Invalid value: \"<secret contents redacted>\": "),
            "{told:?}"
        );
    }

    #[test]
    fn the_type_stays() {
        assert_eq!(
            updated(
                "Secret",
                secret("Opaque", &json!({})),
                secret("example.com/any", &json!({}))
            ),
            ["type: Invalid value: \"example.com/any\": field is immutable"]
        );
    }
}
