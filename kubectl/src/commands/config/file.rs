//! The kubeconfig's files: what they say together, and changing it where it stands.
//!
//! `$KUBECONFIG` may name several. The first one that says something is right, each entry is changed in the file it comes from,
//! and what is new goes to the first file that is there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::edit::List;
use crate::manifest::yaml as input;
use crate::print::yaml;

/// The files, in their order, with what each says.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<(PathBuf, Value)>,
}

impl Files {
    /// Reads them; a file that isn't there says nothing.
    ///
    /// # Errors
    /// When one can't be read, or is no YAML.
    pub(super) fn read(paths: Vec<PathBuf>) -> anyhow::Result<Self> {
        let files = paths.into_iter().map(|path| {
            let config = read(&path)?;
            Ok::<_, anyhow::Error>((path, config))
        });
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
        })
    }

    /// What all of them say together.
    pub(super) fn merged(&self) -> Value {
        merged(self.files.iter().map(|(_, config)| config))
    }

    /// The folder that an entry's relative paths begin in.
    pub(super) fn folder_of(&self, list: List, name: &str) -> Option<&Path> {
        let (path, _) = self.files.iter().find(|(_, config)| list.has(config, name))?;
        path.parent()
    }

    /// Where what is new goes: the first file that is there, else the last that is named.
    pub(super) fn default_path(&self) -> &Path {
        let there = self.files.iter().find(|(path, _)| path.exists());
        let (path, _) = there
            .or(self.files.last())
            .expect("the paths come from kubeconfig_paths(), which gives one at least");
        path
    }

    /// Brings the files to say together what `after` says.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(mut self, after: &Value) -> anyhow::Result<()> {
        let default = self.default_path().to_owned();
        let before = self.merged();
        for (path, config) in &mut self.files {
            let was = config.clone();
            change(config, &before, after, *path == default);
            if *config != was {
                exchange(path, &yaml::document(config))?;
            }
        }
        Ok(())
    }
}

/// The first of each entry and field. Pure.
fn merged<'c>(configs: impl Iterator<Item = &'c Value>) -> Value {
    let mut all = json!({"apiVersion": "v1", "kind": "Config"});
    for config in configs {
        for (field, value) in config.as_object().into_iter().flatten() {
            if List::ALL.iter().any(|list| list.field() == field) {
                continue;
            }
            let says_nothing = |value: &Value| value.is_null() || value == "";
            if says_nothing(&all[field]) && !says_nothing(value) {
                all[field] = value.clone();
            }
        }
        for list in List::ALL {
            for name in list.names(config) {
                if !list.has(&all, &name) {
                    *list.entry(&mut all, &name) = list.entry(&mut config.clone(), &name).clone();
                }
            }
        }
    }
    all
}

/// Makes one file say its part of what changes between `before` and `after`: the entries that it has, and where it is the default
/// one, all that is new. Pure.
fn change(config: &mut Value, before: &Value, after: &Value, is_default: bool) {
    for list in List::ALL {
        let (mut before, mut after) = (before.clone(), after.clone());
        for name in list.names(&before) {
            if !list.has(&after, &name) {
                list.remove(config, &name);
            }
        }
        for name in list.names(&after) {
            let is_new = !list.has(&before, &name);
            let wanted = list.entry(&mut after, &name).clone();
            if is_new && is_default || !is_new && list.has(config, &name) && *list.entry(&mut before, &name) != wanted {
                *list.entry(config, &name) = wanted;
            }
        }
    }
    let current = "current-context";
    if before[current] == after[current] {
        return;
    }
    let is_cleared = after[current].as_str().is_none_or(str::is_empty);
    let has_it = config[current].as_str().is_some_and(|name| !name.is_empty());
    if is_default && !is_cleared || is_cleared && has_it {
        config[current] = after[current].clone();
    }
}

fn read(path: &Path) -> anyhow::Result<Value> {
    if !path.exists() {
        return Ok(json!({"apiVersion": "v1", "kind": "Config"}));
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let config = input::one(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
    Ok(match config {
        Value::Object(map) => Value::Object(map),
        _ => json!({"apiVersion": "v1", "kind": "Config"}),
    })
}

/// Sets the current context and leaves the rest, with its comments, as it is.
///
/// # Errors
/// Those of reading and writing.
pub(super) fn choose(path: &Path, name: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    exchange(path, &with_current_context(&text, name))
}

/// Puts a copy in the file's place: a reader sees the old file or the new one.
fn exchange(path: &Path, text: &str) -> anyhow::Result<()> {
    let path: PathBuf = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(_) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
            path.to_owned()
        }
    };
    let before = fs::metadata(&path).ok();
    let mode = before.as_ref().map_or(0o600, |metadata| metadata.mode() & 0o777);
    let copy = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&copy, "")
        .and_then(|()| fs::set_permissions(&copy, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::write(&copy, text))
        .and_then(|()| match &before {
            Some(metadata) => std::os::unix::fs::chown(&copy, Some(metadata.uid()), Some(metadata.gid())),
            None => Ok(()),
        })
        .and_then(|()| fs::rename(&copy, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&copy);
        return Err(error).with_context(|| format!("can't write {}", path.display()));
    }
    Ok(())
}

/// The text with its `current-context` line set. Pure.
fn with_current_context(text: &str, name: &str) -> String {
    let line = format!("current-context: {}\n", yaml::document(&Value::from(name)).trim_end());
    let mut changed = String::with_capacity(text.len() + line.len());
    let mut found = false;
    for old in text.split_inclusive('\n') {
        if old.starts_with("current-context:") {
            found = true;
            changed.push_str(&line);
        } else {
            changed.push_str(old);
        }
    }
    if !found {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&line);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_changes() {
        let text = "# mine\napiVersion: v1\ncurrent-context: a\nkind: Config\n";
        assert_eq!(
            with_current_context(text, "b"),
            "# mine\napiVersion: v1\ncurrent-context: b\nkind: Config\n"
        );
        assert_eq!(
            with_current_context("kind: Config", "true"),
            "kind: Config\ncurrent-context: \"true\"\n"
        );
    }

    #[test]
    fn a_new_file_is_the_users_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/config");
        let files = Files::read(vec![path.clone()]).expect("nothing there is fine");
        let mut config = files.merged();
        config["current-context"] = json!("a");
        files.write(&config).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(read(&path).expect("readable"), config);
    }

    #[test]
    fn each_file_keeps_what_is_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = ["one", "two"].map(|name| folder.path().join(name));
        let text = |server: &str| format!("clusters:\n- name: c\n  cluster: {{server: {server}}}\n");
        fs::write(&paths[0], text("one") + "current-context: a\n").expect("written");
        fs::write(&paths[1], text("two") + "- name: d\n  cluster: {server: d}\n").expect("written");
        let files = Files::read(paths.to_vec()).expect("readable");
        let mut config = files.merged();
        assert_eq!(
            List::Clusters.entry(&mut config, "c")["server"],
            "one",
            "the first one is right"
        );
        assert_eq!(files.folder_of(List::Clusters, "d"), Some(folder.path()));
        List::Clusters
            .entry(&mut config, "d")
            .insert("server".to_owned(), json!("other"));
        List::Users.entry(&mut config, "u");
        config["current-context"] = json!("b");
        files.write(&config).expect("written");
        let (one, mut two) = (read(&paths[0]).expect("there"), read(&paths[1]).expect("there"));
        assert_eq!(one["current-context"], "b");
        assert_eq!(List::Users.names(&one), ["u"], "what is new goes to the first");
        assert_eq!(List::Clusters.names(&one), ["c"]);
        assert_eq!(List::Clusters.entry(&mut two, "d")["server"], "other");
        assert_eq!(List::Clusters.entry(&mut two, "c")["server"], "two");
        let third = folder.path().join("third");
        let files = Files::read(vec![third.clone(), paths[1].clone()]).expect("readable");
        let mut config = files.merged();
        assert!(List::Clusters.remove(&mut config, "d"));
        files.write(&config).expect("written");
        assert!(!third.exists(), "a file that says nothing isn't made");
    }
}
