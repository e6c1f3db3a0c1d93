//! `set env`: environment variables of containers: set, removed, taken from a config map or a secret, listed.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use clap::Args;
use serde_json::{Value, json};

use super::Setting;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::changing::{apart, containers, pod_spec};
use crate::commands::objects::{Wanted, finish};
use crate::commands::{local, pod};
use crate::resources::Resource;

/// Arguments of `set env`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set env deployment/web MODE=fast
  minikctl set env deployment/web MODE-                     # removes it
  minikctl set env --from=configmap/settings --prefix=APP_ deployment/web
  minikctl set env deployment/web --list
  env | grep RAILS_ | minikctl set env -e - deployment/web")]
pub struct SetEnv {
    /// The objects, then NAME=VALUE, or NAME- to remove one.
    #[arg(value_name = "KIND/NAME VARIABLES")]
    words: Vec<String>,
    /// A variable: NAME=VALUE; - reads them from stdin.
    #[arg(short, long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// The containers, with * for any text.
    #[arg(short, long, default_value = "*", value_name = "PATTERN")]
    containers: String,
    /// What to take variables from: configmap/NAME, secret/NAME.
    #[arg(long, value_name = "KIND/NAME")]
    from: Option<String>,
    /// Only these keys of it.
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    keys: Vec<String>,
    /// Before the names of the variables taken from it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Show the variables.
    #[arg(long)]
    list: bool,
    /// Show what references lead to (with --list).
    #[arg(long)]
    resolve: bool,
    /// Whether variables that are there may be changed.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
    #[command(flatten)]
    setting: Setting,
}

/// What is to become of the variables.
#[derive(Debug, Default)]
struct Changes {
    set: Vec<Value>,
    remove: BTreeSet<String>,
    overwrite: bool,
}

impl SetEnv {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let (words, variables) = apart(&self.words, true);
        let mut changes = self.changes(&variables)?;
        if let Some(from) = &self.from {
            changes.set.extend(self.taken(global, from).await?);
        }
        if self.list {
            return self.show(global, &words, &changes).await;
        }
        if changes.set.is_empty() && changes.remove.is_empty() {
            // As in kubectl: a script may have nothing to set.
            return Ok(());
        }
        let edit = |resource: &Resource, object: &mut Value| set(resource, object, &self.containers, &changes);
        self.setting
            .change(global, &words, "env update to pod template:", &edit)
            .await
    }

    fn changes(&self, variables: &[String]) -> anyhow::Result<Changes> {
        let mut lines: Vec<String> = variables.to_vec();
        for variable in &self.env {
            if variable != "-" {
                lines.push(variable.clone());
                continue;
            }
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("can't read stdin")?;
            let given = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.extend(given.map(str::to_owned));
        }
        let mut changes = Changes {
            overwrite: self.overwrite,
            ..Changes::default()
        };
        for line in &lines {
            match (line.split_once('='), line.strip_suffix('-')) {
                (Some((name, value)), _) if !name.is_empty() => changes.set.push(json!({"name": name, "value": value})),
                (None, Some(name)) if !name.is_empty() => {
                    changes.remove.insert(name.to_owned());
                }
                _ => bail!("environment variables must be of the form key=value and can not be multi-line: {line:?}"),
            }
        }
        Ok(changes)
    }

    /// A variable for each key of a config map or secret.
    async fn taken(&self, global: &Global, from: &str) -> anyhow::Result<Vec<Value>> {
        let session = Session::open(global).await?;
        let (resource, object) = pod::named(&session, from).await?;
        let reference = match resource.kind.as_str() {
            "ConfigMap" => "configMapKeyRef",
            "Secret" => "secretKeyRef",
            kind => bail!("unsupported resource specified in --from: {kind}"),
        };
        Ok(references(&object, reference, &self.keys, &self.prefix))
    }

    async fn show(&self, global: &Global, words: &[String], changes: &Changes) -> anyhow::Result<()> {
        let mut objects: Vec<(Resource, Value)> = Vec::new();
        let session = if self.setting.local {
            objects = local::read(&self.setting.files, "list").await?;
            None
        } else {
            let session = Session::open(global).await?;
            let wanted = Wanted {
                words,
                files: &self.setting.files,
                selection: &self.setting.selection,
                kind_is_enough: false,
            };
            let (found, errors) = wanted.find(&session).await?;
            finish(errors)?;
            for named in found {
                let object = named.fetch(&session).await?;
                objects.push((named.resource, object));
            }
            Some(session)
        };
        let mut out = anstream::stdout();
        for (resource, mut object) in objects {
            set(&resource, &mut object, &self.containers, changes)?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            for container in containers(pod_spec(&resource, &mut object)?, &self.containers, false) {
                let container_name = container["name"].as_str().unwrap_or_default();
                writeln!(out, "# {} {name}, container {container_name}", resource.kind)?;
                for variable in container["env"].as_array().into_iter().flatten() {
                    let value = match &session {
                        Some(session) if self.resolve => resolved(session, variable).await?,
                        _ => None,
                    };
                    writeln!(out, "{}", listed(variable, value.as_deref()))?;
                }
            }
        }
        Ok(())
    }
}

/// Sets and removes variables of one object's containers. Pure.
fn set(resource: &Resource, object: &mut Value, pattern: &str, changes: &Changes) -> anyhow::Result<&'static str> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut found = false;
    for container in containers(pod_spec(resource, object)?, pattern, true) {
        found = true;
        let mut variables = container["env"].as_array().cloned().unwrap_or_default();
        let had_none = container["env"].is_null();
        variables.retain(|variable| !changes.remove.contains(variable["name"].as_str().unwrap_or_default()));
        for new in &changes.set {
            match variables.iter_mut().find(|variable| variable["name"] == new["name"]) {
                None => variables.push(new.clone()),
                Some(present) if changes.overwrite => *present = new.clone(),
                Some(present) => bail!(
                    "{}/{name} '{}' already has a value ({}), and --overwrite is false",
                    resource.plural,
                    new["name"].as_str().unwrap_or_default(),
                    present["value"].as_str().unwrap_or_default()
                ),
            }
        }
        if variables.is_empty() {
            if let Some(map) = container.as_object_mut().filter(|_| !had_none) {
                map.remove("env");
            }
        } else {
            container["env"] = Value::Array(variables);
        }
    }
    if !found {
        bail!(
            "{} does not have any containers matching {pattern:?}",
            resource.named(&name)
        );
    }
    Ok("env updated")
}

/// The keys of a config map or secret as variables that refer to them. Pure.
fn references(object: &Value, reference: &str, keys: &[String], prefix: &str) -> Vec<Value> {
    let data = object["data"].as_object().into_iter().flatten();
    let mut names: Vec<&String> = data.map(|(key, _)| key).collect();
    names.retain(|name| keys.is_empty() || keys.contains(name));
    names.sort();
    let of = |key: &&String| {
        let upper: String = key
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        let mut source = json!({});
        source[reference] = json!({"name": object["metadata"]["name"], "key": key});
        json!({"name": format!("{prefix}{upper}"), "valueFrom": source})
    };
    names.iter().map(of).collect()
}

/// `NAME=value`, or where it comes from. Pure.
fn listed(variable: &Value, resolved: Option<&str>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&variable["name"]);
    if let Some(value) = resolved {
        return format!("{name}={value}");
    }
    let from = &variable["valueFrom"];
    for (reference, kind) in [("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")] {
        let source = &from[reference];
        if source.is_object() {
            return format!(
                "# {name} from {kind} {}, key {}",
                text(&source["name"]),
                text(&source["key"])
            );
        }
    }
    if from["fieldRef"].is_object() {
        return format!("# {name} from field path {}", text(&from["fieldRef"]["fieldPath"]));
    }
    if from["resourceFieldRef"].is_object() {
        let source = &from["resourceFieldRef"];
        let container = text(&source["containerName"]);
        let prefix = if container.is_empty() {
            container
        } else {
            format!("{container}/")
        };
        return format!("# {name} from resource field {prefix}{}", text(&source["resource"]));
    }
    format!("{name}={}", text(&variable["value"]))
}

/// What a reference to a config map or secret leads to.
async fn resolved(session: &Session, variable: &Value) -> anyhow::Result<Option<String>> {
    for (reference, kind) in [("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")] {
        let source = &variable["valueFrom"][reference];
        let (Some(name), Some(key)) = (source["name"].as_str(), source["key"].as_str()) else {
            continue;
        };
        let (_, object) = pod::named(session, &format!("{kind}/{name}")).await?;
        let value = object["data"][key]
            .as_str()
            .ok_or_else(|| anyhow!("{kind} {name:?} has no key {key:?}"))?;
        if kind == "configmaps" {
            return Ok(Some(value.to_owned()));
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(value)?;
        return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(set: &[Value], remove: &[&str], overwrite: bool) -> Changes {
        Changes {
            set: set.to_vec(),
            remove: remove.iter().map(|&name| name.to_owned()).collect(),
            overwrite,
        }
    }

    #[test]
    fn variables_are_set_and_removed() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}, {"name": "b"}]}});
        let resource = local::resource("v1", "Pod");
        let new = [json!({"name": "X", "value": "3"}), json!({"name": "Z", "value": "4"})];
        set(&resource, &mut pod, "a", &changes(&new, &["Y"], true)).expect("set");
        assert_eq!(pod["spec"]["containers"][0]["env"], json!(new));
        assert_eq!(pod["spec"]["containers"][1].get("env"), None);
        let refused = set(&resource, &mut pod, "*", &changes(&new, &[], false)).expect_err("X is there");
        assert!(refused.to_string().contains("already has a value"), "{refused}");
        set(&resource, &mut pod, "a", &changes(&[], &["X", "Z"], true)).expect("set");
        assert_eq!(pod["spec"]["containers"][0].get("env"), None);
    }

    #[test]
    fn keys_become_variables() {
        let map = json!({"metadata": {"name": "m"}, "data": {"log.level": "x", "other": "y"}});
        let made = references(&map, "configMapKeyRef", &["log.level".to_owned()], "APP_");
        assert_eq!(
            made,
            [json!({"name": "APP_LOG_LEVEL", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "log.level"}}})]
        );
        assert_eq!(
            listed(&made[0], None),
            "# APP_LOG_LEVEL from configmap m, key log.level"
        );
        assert_eq!(listed(&made[0], Some("x")), "APP_LOG_LEVEL=x");
        assert_eq!(listed(&json!({"name": "A", "value": "b"}), None), "A=b");
        let field = json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        assert_eq!(listed(&field, None), "# A from field path metadata.name");
    }
}
