//! Changing the kubeconfig's file: one line of it, or the whole.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::manifest::yaml as input;
use crate::print::yaml;

/// What the file says; a file that isn't there says nothing.
///
/// # Errors
/// When it can't be read, or is no YAML.
pub(super) fn read(path: &Path) -> anyhow::Result<Value> {
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

/// Writes the file anew.
///
/// # Errors
/// Those of writing.
pub(super) fn write(path: &Path, config: &Value) -> anyhow::Result<()> {
    exchange(path, &yaml::document(config))
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
            if let Some(folder) = path.parent() {
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
        let mut config = read(&path).expect("nothing there is fine");
        config["current-context"] = json!("a");
        write(&path, &config).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(read(&path).expect("readable"), config);
    }
}
