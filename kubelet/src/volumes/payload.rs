//! What the files of a configMap, secret, downwardAPI or projected volume are: pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, Volume, VolumeProjection};

use super::VolumeError;
use crate::pod::Pod;
use crate::spec::references::{self, Objects};
use crate::spec::{Node, fields};

/// Kubernetes' default.
const DEFAULT_MODE: i32 = 0o644;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// Relative path to file.
pub(crate) type Payload = BTreeMap<String, File>;

/// The files of this volume; none if it isn't one of files.
pub(crate) fn of(pod: &Pod, volume: &Volume, objects: &Objects, node: &Node) -> Result<Option<Payload>, VolumeError> {
    let from = From { pod, objects, node };
    let payload = if let Some(source) = &volume.config_map {
        let select = Select::new(source.items.as_deref(), source.default_mode, source.optional);
        from.config_map(&source.name, &select)?
    } else if let Some(source) = &volume.secret {
        let select = Select::new(source.items.as_deref(), source.default_mode, source.optional);
        from.secret(source.secret_name.as_deref().unwrap_or_default(), &select)?
    } else if let Some(source) = &volume.downward_api {
        from.downward(source.items.as_deref().unwrap_or_default(), source.default_mode)?
    } else if let Some(projected) = &volume.projected {
        let mut payload = Payload::new();
        for source in projected.sources.iter().flatten() {
            payload.extend(from.projection(source, projected.default_mode)?);
        }
        payload
    } else {
        return Ok(None);
    };
    match payload.keys().find(|path| leads_out(path)) {
        Some(path) => Err(VolumeError::Escape(path.clone())),
        None => Ok(Some(payload)),
    }
}

fn leads_out(path: &str) -> bool {
    path.is_empty() || path.starts_with('/') || path.starts_with("..") || path.split('/').any(|part| part == "..")
}

/// Which keys become which files.
struct Select<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: i32,
    optional: bool,
}

impl<'a> Select<'a> {
    fn new(items: Option<&'a [KeyToPath]>, mode: Option<i32>, optional: Option<bool>) -> Self {
        Self {
            items: items.filter(|items| !items.is_empty()),
            mode: mode.unwrap_or(DEFAULT_MODE),
            optional: optional == Some(true),
        }
    }
}

struct From<'a> {
    pod: &'a Pod,
    objects: &'a Objects,
    node: &'a Node,
}

impl From<'_> {
    fn config_map(&self, name: &str, select: &Select<'_>) -> Result<Payload, VolumeError> {
        let data = self.objects.config_maps.get(name).map(config_map_data);
        keys("configmap", name, data, select)
    }

    fn secret(&self, name: &str, select: &Select<'_>) -> Result<Payload, VolumeError> {
        let data = self.objects.secrets.get(name).map(secret_data);
        keys("secret", name, data, select)
    }

    fn downward(&self, items: &[DownwardAPIVolumeFile], mode: Option<i32>) -> Result<Payload, VolumeError> {
        let ips: Vec<String> = self
            .pod
            .status
            .pod_ips
            .iter()
            .flatten()
            .map(|ip| ip.ip.clone())
            .collect();
        let mut payload = Payload::new();
        for item in items {
            let content = if let Some(field) = &item.field_ref {
                fields::field(self.pod, &field.field_path, &ips, self.node)?
            } else if let (Some(resource), Some(first)) = (&item.resource_field_ref, self.pod.containers().first()) {
                fields::resource(self.pod, first, resource, self.node)?
            } else {
                continue;
            };
            let file = file(item.mode.or(mode).unwrap_or(DEFAULT_MODE), content.into_bytes());
            payload.insert(item.path.clone(), file);
        }
        Ok(payload)
    }

    fn projection(&self, source: &VolumeProjection, mode: Option<i32>) -> Result<Payload, VolumeError> {
        let mut payload = Payload::new();
        if let Some(source) = &source.config_map {
            let select = Select::new(source.items.as_deref(), mode, source.optional);
            payload.extend(self.config_map(&source.name, &select)?);
        }
        if let Some(source) = &source.secret {
            let select = Select::new(source.items.as_deref(), mode, source.optional);
            payload.extend(self.secret(&source.name, &select)?);
        }
        if let Some(source) = &source.downward_api {
            payload.extend(self.downward(source.items.as_deref().unwrap_or_default(), mode)?);
        }
        if let Some(source) = &source.service_account_token {
            let request = references::token(self.pod, source);
            let token = self.objects.tokens.get(&request);
            let token = token.ok_or(VolumeError::NoToken(request.account))?;
            payload.insert(
                source.path.clone(),
                file(mode.unwrap_or(DEFAULT_MODE), token.clone().into_bytes()),
            );
        }
        Ok(payload)
    }
}

fn config_map_data(object: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = object
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    let binary = object
        .binary_data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()));
    text.chain(binary).collect()
}

fn secret_data(object: &Secret) -> BTreeMap<String, Vec<u8>> {
    object
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()))
        .collect()
}

fn keys(
    kind: &'static str,
    name: &str,
    data: Option<BTreeMap<String, Vec<u8>>>,
    select: &Select<'_>,
) -> Result<Payload, VolumeError> {
    let Some(mut data) = data else {
        if select.optional {
            return Ok(Payload::new());
        }
        let name = name.to_owned();
        return Err(VolumeError::NoObject { kind, name });
    };
    let Some(items) = select.items else {
        return Ok(data
            .into_iter()
            .map(|(key, content)| (key, file(select.mode, content)))
            .collect());
    };
    let mut payload = Payload::new();
    for item in items {
        match data.remove(&item.key) {
            Some(content) => {
                payload.insert(item.path.clone(), file(item.mode.unwrap_or(select.mode), content));
            }
            None if select.optional => {}
            None => {
                return Err(VolumeError::NoKey {
                    kind,
                    name: name.to_owned(),
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(payload)
}

fn file(mode: i32, content: Vec<u8>) -> File {
    File {
        mode: mode.unsigned_abs() & 0o7777,
        content,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::testing;

    fn payload(volume: Value) -> Result<Option<Payload>, VolumeError> {
        let pod =
            testing::with(json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}}));
        let config: ConfigMap =
            serde_json::from_value(json!({"data": {"a.conf": "one", "b.conf": "two"}})).expect("one");
        let objects = Objects {
            config_maps: BTreeMap::from([("config".to_owned(), config)]),
            ..Default::default()
        };
        let mut volume = volume;
        volume["name"] = json!("v");
        let volume = serde_json::from_value(volume).expect("a volume");
        of(&pod, &volume, &objects, &Node::default())
    }

    #[test]
    fn all_keys_or_those_that_are_chosen() {
        let all = payload(json!({"configMap": {"name": "config"}}))
            .expect("found")
            .expect("files");
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a.conf", "b.conf"]);
        assert_eq!(all["a.conf"], file(0o644, b"one".to_vec()));
        let some = json!({"configMap": {"name": "config", "defaultMode": 0o400, "items": [{"key": "b.conf", "path": "x/y", "mode": 0o600}]}});
        let some = payload(some).expect("found").expect("files");
        assert_eq!(some, Payload::from([("x/y".to_owned(), file(0o600, b"two".to_vec()))]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = payload(json!({"configMap": {"name": "none"}})).expect_err("no such object");
        assert_eq!(error.to_string(), "configmap \"none\" not found");
        let none = payload(json!({"configMap": {"name": "none", "optional": true}})).expect("optional");
        assert_eq!(none, Some(Payload::new()));
        let error = payload(json!({"configMap": {"name": "config", "items": [{"key": "c", "path": "c"}]}}));
        assert_eq!(
            error.expect_err("no such key").to_string(),
            "configmap \"config\" has no key \"c\""
        );
    }

    #[test]
    fn projected_sources_are_laid_over_each_other() {
        let files = payload(json!({"projected": {"sources": [
            {"configMap": {"name": "config", "items": [{"key": "a.conf", "path": "a"}]}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}));
        let files = files.expect("found").expect("files");
        assert_eq!(files["labels"].content, b"app=\"web\"");
        assert_eq!(files["a"].content, b"one");
    }

    #[test]
    fn no_path_leads_out() {
        for path in ["../x", "/etc/passwd", "a/../../b", "..data"] {
            let error = payload(json!({"configMap": {"name": "config", "items": [{"key": "a.conf", "path": path}]}}));
            assert!(matches!(error, Err(VolumeError::Escape(_))), "{path}");
        }
    }
}
