//! A container's environment: where services are, `envFrom`, then `env` in order, each able to refer to those before it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource};

use super::references::Objects;
use super::service_env::{self, Services};
use super::{Node, expand, fields};
use crate::pod::Pod;

/// Why an environment can't be made. The container waits with `CreateContainerConfigError` until that changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvError {
    /// No such config map or secret.
    #[error("{kind} \"{name}\" not found")]
    NoObject { kind: &'static str, name: String },
    /// It has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        kind: &'static str,
        namespace: String,
        name: String,
        key: String,
    },
    /// A field that is none.
    #[error("environment variable {variable}: {source}")]
    Field {
        variable: String,
        source: fields::UnknownField,
    },
}

/// What the environment is made from.
pub(crate) struct Sources<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) objects: &'a Objects,
    pub(crate) services: &'a Services,
    pub(crate) pod_ips: &'a [String],
    pub(crate) node: &'a Node,
}

/// The variables in order; a later one of the same name replaces an earlier one in its place.
pub(crate) fn environment(from: &Sources<'_>) -> Result<Vec<(String, String)>, EnvError> {
    let links = from.pod.spec.enable_service_links != Some(false);
    let mut variables = service_env::variables(from.services, &from.pod.namespace, links);
    let set = |variables: &mut Vec<(String, String)>, name: String, value: String| match variables
        .iter_mut()
        .find(|(known, _)| *known == name)
    {
        Some(variable) => variable.1 = value,
        None => variables.push((name, value)),
    };
    for source in from.container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            for (key, value) in config_map(from, &reference.name, reference.optional == Some(true))? {
                set(&mut variables, format!("{prefix}{key}"), value);
            }
        }
        if let Some(reference) = &source.secret_ref {
            for (key, value) in secret(from, &reference.name, reference.optional == Some(true))? {
                set(&mut variables, format!("{prefix}{key}"), value);
            }
        }
    }
    for variable in from.container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => Some(expand::expand(value, |name| lookup(&variables, name))),
            (None, Some(source)) => value_from(from, &variable.name, source)?,
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            set(&mut variables, variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// The value of a variable.
pub(crate) fn lookup(variables: &[(String, String)], name: &str) -> Option<String> {
    variables
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

fn config_map(from: &Sources<'_>, name: &str, optional: bool) -> Result<BTreeMap<String, String>, EnvError> {
    match from.objects.config_maps.get(name) {
        Some(object) => Ok(object.data.clone().unwrap_or_default()),
        None if optional => Ok(BTreeMap::new()),
        None => Err(no_object("configmap", name)),
    }
}

fn secret(from: &Sources<'_>, name: &str, optional: bool) -> Result<BTreeMap<String, String>, EnvError> {
    match from.objects.secrets.get(name) {
        Some(object) => {
            let data = object.data.iter().flatten();
            Ok(data
                .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
                .collect())
        }
        None if optional => Ok(BTreeMap::new()),
        None => Err(no_object("secret", name)),
    }
}

fn no_object(kind: &'static str, name: &str) -> EnvError {
    EnvError::NoObject {
        kind,
        name: name.to_owned(),
    }
}

/// None: optional, and not there.
fn value_from(from: &Sources<'_>, variable: &str, source: &EnvVarSource) -> Result<Option<String>, EnvError> {
    let unknown = |source| EnvError::Field {
        variable: variable.to_owned(),
        source,
    };
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional == Some(true);
        let data = config_map(from, &key.name, optional)?;
        return keyed(from, "ConfigMap", (&key.name, &key.key), &data, optional);
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional == Some(true);
        let data = secret(from, &key.name, optional)?;
        return keyed(from, "Secret", (&key.name, &key.key), &data, optional);
    }
    if let Some(reference) = &source.field_ref {
        return fields::field(from.pod, &reference.field_path, from.pod_ips, from.node)
            .map(Some)
            .map_err(unknown);
    }
    if let Some(reference) = &source.resource_field_ref {
        return fields::resource(from.pod, from.container, reference, from.node)
            .map(Some)
            .map_err(unknown);
    }
    Ok(Some(String::new()))
}

fn keyed(
    from: &Sources<'_>,
    kind: &'static str,
    (name, key): (&str, &str),
    data: &BTreeMap<String, String>,
    optional: bool,
) -> Result<Option<String>, EnvError> {
    match data.get(key) {
        Some(value) => Ok(Some(value.clone())),
        None if optional => Ok(None),
        None => Err(EnvError::NoKey {
            kind,
            namespace: from.pod.namespace.clone(),
            name: name.to_owned(),
            key: key.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing::pod;

    fn made(container: serde_json::Value) -> Result<Vec<(String, String)>, EnvError> {
        let pod = pod(json!({"containers": [container]}));
        let config: k8s_openapi::api::core::v1::ConfigMap =
            serde_json::from_value(json!({"data": {"A": "1", "B": "2"}})).expect("a config map");
        let secret: k8s_openapi::api::core::v1::Secret =
            serde_json::from_value(json!({"data": {"PASSWORD": "aHVudGVyMg=="}})).expect("a secret");
        let objects = Objects {
            config_maps: BTreeMap::from([("config".to_owned(), config)]),
            secrets: BTreeMap::from([("secret".to_owned(), secret)]),
            ..Objects::default()
        };
        environment(&Sources {
            pod: &pod,
            container: &pod.containers()[0],
            objects: &objects,
            services: &Services::new(),
            pod_ips: &["10.1.0.2".to_owned()],
            node: &Node::default(),
        })
    }

    #[test]
    fn sources_are_read_in_order_and_refer_back() {
        let made = made(json!({
            "name": "a",
            "envFrom": [{"prefix": "C_", "configMapRef": {"name": "config"}}, {"secretRef": {"name": "secret"}}],
            "env": [
                {"name": "C_A", "value": "own"},
                {"name": "SUM", "value": "$(C_A)-$(C_B)-$(LATER)-$$(C_A)"},
                {"name": "LATER", "value": "x"},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "B"}}}]}));
        let pairs = [
            ("C_A", "own"),
            ("C_B", "2"),
            ("PASSWORD", "hunter2"),
            ("SUM", "own-2-$(LATER)-$(C_A)"),
            ("LATER", "x"),
            ("IP", "10.1.0.2"),
            ("KEY", "2"),
        ];
        let expected = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(made, Ok(expected));
    }

    #[test]
    fn what_is_missing_is_named_unless_optional() {
        let variable =
            |source: serde_json::Value| made(json!({"name": "a", "env": [{"name": "X", "valueFrom": source}]}));
        let error = variable(json!({"secretKeyRef": {"name": "none", "key": "k"}})).expect_err("no such secret");
        assert_eq!(error.to_string(), "secret \"none\" not found");
        let error = variable(json!({"configMapKeyRef": {"name": "config", "key": "k"}})).expect_err("no such key");
        assert_eq!(error.to_string(), "couldn't find key k in ConfigMap default/config");
        let optional = variable(json!({"configMapKeyRef": {"name": "none", "key": "k", "optional": true}}));
        assert_eq!(optional, Ok(Vec::new()));
    }
}
