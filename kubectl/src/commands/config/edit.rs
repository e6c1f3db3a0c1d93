//! Changing what a kubeconfig says: its entries by name, its fields by path. Pure.

use anyhow::{anyhow, bail};
use serde_json::{Map, Value, json};

/// The three lists of a kubeconfig, each with the field that holds an entry's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Clusters,
    Contexts,
    Users,
}

impl List {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Clusters, Self::Contexts, Self::Users];

    /// The field of a kubeconfig that holds it.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Contexts => "contexts",
            Self::Users => "users",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Contexts => "context",
            Self::Users => "user",
        }
    }

    /// The names of its entries, in order.
    pub(super) fn names(self, config: &Value) -> Vec<String> {
        let mut names: Vec<String> = entries(config, self)
            .iter()
            .filter_map(|entry| entry["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    pub(super) fn has(self, config: &Value, name: &str) -> bool {
        entries(config, self).iter().any(|entry| entry["name"] == name)
    }

    /// The body of an entry, made if it isn't there.
    pub(super) fn entry<'c>(self, config: &'c mut Value, name: &str) -> &'c mut Map<String, Value> {
        let list = &mut config[self.field()];
        if !list.is_array() {
            *list = json!([]);
        }
        let list = list.as_array_mut().expect("made a list just above");
        let at = list.iter().position(|entry| entry["name"] == name).unwrap_or_else(|| {
            list.push(json!({"name": name}));
            list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
            list.iter()
                .position(|entry| entry["name"] == name)
                .expect("pushed just above")
        });
        let body = &mut list[at][self.body()];
        if !body.is_object() {
            *body = json!({});
        }
        body.as_object_mut().expect("made an object just above")
    }

    /// Drops an entry; false when it isn't there.
    pub(super) fn remove(self, config: &mut Value, name: &str) -> bool {
        let Some(list) = config.get_mut(self.field()).and_then(Value::as_array_mut) else {
            return false;
        };
        let before = list.len();
        list.retain(|entry| entry["name"] != name);
        list.len() < before
    }
}

fn entries(config: &Value, list: List) -> &[Value] {
    config[list.field()].as_array().map_or(&[], Vec::as_slice)
}

/// Gives a context another name; the current one stays the current one.
pub(super) fn rename_context(config: &mut Value, old: &str, new: &str, file: &str) -> anyhow::Result<()> {
    if !List::Contexts.has(config, old) {
        bail!("cannot rename the context {old:?}, it's not in {file}");
    }
    if List::Contexts.has(config, new) {
        bail!("cannot rename the context {old:?}, the context {new:?} already exists in {file}");
    }
    let body = List::Contexts.entry(config, old).clone();
    List::Contexts.remove(config, old);
    *List::Contexts.entry(config, new) = body;
    if config["current-context"] == old {
        config["current-context"] = json!(new);
    }
    Ok(())
}

/// Sets the field at a path such as `clusters.minik.server`; none takes it away.
pub(super) fn set(config: &mut Value, path: &str, value: Option<&str>) -> anyhow::Result<()> {
    if path == "current-context" {
        config["current-context"] = json!(value.unwrap_or_default());
        return Ok(());
    }
    let (first, rest) = path.split_once('.').ok_or_else(|| {
        anyhow!("unable to locate path {path:?}: use current-context, or clusters.NAME.FIELD and the like")
    })?;
    let list = List::ALL.into_iter().find(|list| list.field() == first);
    let list =
        list.ok_or_else(|| anyhow!("unable to locate path {first:?}: there are clusters, contexts and users"))?;
    // Names may have dots in them, fields have none.
    let names = list.names(config);
    let known = names
        .iter()
        .find(|name| rest == *name || rest.starts_with(&format!("{name}.")));
    let (name, field) = match known {
        Some(name) => (name.as_str(), rest[name.len()..].trim_start_matches('.')),
        None => rest.rsplit_once('.').unwrap_or((rest, "")),
    };
    match (field, value) {
        ("", None) => {
            if !list.remove(config, name) {
                bail!("current map key `{name}` is invalid");
            }
        }
        ("", Some(_)) => bail!("can't set a map to a value: {name}"),
        (field, None) => {
            list.entry(config, name).remove(field);
        }
        (field, Some(value)) => {
            let value = match (field, value) {
                ("insecure-skip-tls-verify" | "disable-compression", "true") => json!(true),
                ("insecure-skip-tls-verify" | "disable-compression", "false") => json!(false),
                (_, text) => json!(text),
            };
            list.entry(config, name).insert(field.to_owned(), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Value {
        json!({"current-context": "a.b", "contexts": [{"name": "a.b", "context": {"cluster": "c"}}]})
    }

    #[test]
    fn fields_are_set_by_their_path() {
        let mut config = config();
        set(&mut config, "contexts.a.b.namespace", Some("n")).expect("a field");
        set(&mut config, "clusters.c.server", Some("https://h")).expect("a new entry");
        assert_eq!(
            config["contexts"][0]["context"],
            json!({"cluster": "c", "namespace": "n"})
        );
        assert_eq!(
            config["clusters"],
            json!([{"name": "c", "cluster": {"server": "https://h"}}])
        );
        set(&mut config, "contexts.a.b.namespace", None).expect("gone");
        assert_eq!(config["contexts"][0]["context"], json!({"cluster": "c"}));
        set(&mut config, "current-context", None).expect("gone");
        assert_eq!(config["current-context"], "");
        for path in ["x.y.z", "clusters", "nope"] {
            assert!(set(&mut config, path, Some("v")).is_err(), "{path}");
        }
    }

    #[test]
    fn a_context_keeps_what_it_says_under_another_name() {
        let mut config = config();
        rename_context(&mut config, "a.b", "n", "f").expect("there");
        assert_eq!(config["current-context"], "n");
        assert_eq!(config["contexts"], json!([{"name": "n", "context": {"cluster": "c"}}]));
        assert!(rename_context(&mut config, "a.b", "n", "f").is_err());
        let _ = List::Contexts.entry(&mut config, "m");
        assert!(rename_context(&mut config, "n", "m", "f").is_err());
        assert!(List::Contexts.remove(&mut config, "m") && !List::Contexts.remove(&mut config, "m"));
    }
}
