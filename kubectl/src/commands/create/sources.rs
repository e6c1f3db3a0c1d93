//! Where the values of config maps and secrets come from: literals, files, folders, files of environment variables.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use anyhow::{anyhow, bail};
use clap::Args;
use minik_api::names;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::print::gojson;

/// `--from-literal`, `--from-file`, `--from-env-file`, `--append-hash`.
#[derive(Args, Clone, Debug, Default)]
pub struct Sources {
    /// A value: KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file under its own name or another key, or the files of a folder; may be repeated.
    #[arg(long, value_name = "[KEY=]FILE", value_delimiter = ',')]
    from_file: Vec<String>,
    /// A file of lines KEY=VALUE.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    from_env_file: Vec<String>,
}

/// What they hold, by key.
pub type Values = BTreeMap<String, Vec<u8>>;

impl Sources {
    /// Reads them all.
    ///
    /// # Errors
    /// When a source can't be read or a key can't be one; `kind` is what it is to be a key of.
    pub fn read(&self, kind: &str, name: &str) -> anyhow::Result<Values> {
        let others = self.from_file.len() + self.from_literal.len();
        if !self.from_env_file.is_empty() && others > 0 {
            bail!("from-env-file cannot be combined with from-file or from-literal");
        }
        let mut values = Values::new();
        let mut add = |key: &str, value: Vec<u8>| add(&mut values, kind, name, key, value);
        for source in &self.from_file {
            for (key, file) in files(source)? {
                add(
                    &key,
                    fs::read(&file).map_err(|error| anyhow!("error reading {file}: {}", reason(&error)))?,
                )?;
            }
        }
        for literal in &self.from_literal {
            let (key, value) = literal
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| anyhow!("invalid literal source {literal}, expected key=value"))?;
            add(key, value.into())?;
        }
        for file in &self.from_env_file {
            if Path::new(file).is_dir() {
                bail!("env config file cannot be a directory");
            }
            let text = fs::read_to_string(file).map_err(|error| anyhow!("error reading {file}: {}", reason(&error)))?;
            for (key, value) in variables(&text)? {
                add(&key, value.into_bytes())?;
            }
        }
        Ok(values)
    }
}

fn add(values: &mut Values, kind: &str, name: &str, key: &str, value: Vec<u8>) -> anyhow::Result<()> {
    let problems = names::config_key(key);
    if !problems.is_empty() {
        bail!("{key:?} is not a valid key name for a {kind}: {}", problems.join(","));
    }
    if values.contains_key(key) {
        bail!("cannot add key {key:?}, another key by that name already exists in Data for {kind} {name:?}");
    }
    values.insert(key.to_owned(), value);
    Ok(())
}

/// The keys and files that one `--from-file` means.
fn files(source: &str) -> anyhow::Result<Vec<(String, String)>> {
    let (key, path) = match source.split_once('=') {
        None => (None, source),
        Some((_, path)) if path.contains('=') => bail!("key names or file paths cannot contain '='"),
        Some(("", path)) => bail!("key name for file path {path} missing"),
        Some((key, "")) => bail!("file path for key name {key} missing"),
        Some((key, path)) => (Some(key.to_owned()), path),
    };
    let metadata = fs::metadata(path).map_err(|error| anyhow!("error reading {path}: {}", reason(&error)))?;
    if !metadata.is_dir() {
        let own = || {
            let name = Path::new(path).file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        return Ok(vec![(key.unwrap_or_else(own), path.to_owned())]);
    }
    if key.is_some() {
        bail!("cannot give a key name for a directory path");
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push((name, entry.path().display().to_string()));
        }
    }
    found.sort();
    Ok(found)
}

/// The lines of a file of environment variables; a name alone has the value that it has here.
fn variables(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => (line, env::var(line).unwrap_or_default()),
        };
        let problems = names::env_var(key);
        if !problems.is_empty() {
            bail!("{key:?} is not a valid key name: {}", problems.join(";"));
        }
        variables.push((key.to_owned(), value));
    }
    Ok(variables)
}

/// As Go names it.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// What `--append-hash` puts behind the name of an object: ten letters and digits that say what is in it, without vowels, so
/// that they make no words.
pub fn hash(content: &Value) -> String {
    let digest = Sha256::digest(gojson::compact(content));
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    hex.chars()
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// Metadata as Go writes that of a new object.
pub fn metadata(name: &str) -> Value {
    json!({"name": name, "creationTimestamp": null})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_lines() {
        let read = variables("\u{feff}# c\n A=1=2\n\nB=\n").expect("good");
        assert_eq!(
            read,
            [("A".to_owned(), "1=2".to_owned()), ("B".to_owned(), String::new())]
        );
        assert!(variables("=c").is_err());
    }

    #[test]
    fn sources_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.conf");
        fs::write(&path, "x").expect("written");
        let path = path.display().to_string();
        let here = folder.path().display().to_string();
        assert_eq!(files(&path).expect("a file"), [("app.conf".to_owned(), path.clone())]);
        assert_eq!(files(&format!("k={path}")).expect("a file")[0].0, "k");
        assert_eq!(files(&here).expect("a folder"), [("app.conf".to_owned(), path)]);
        for source in ["=x", "k=", "a=b=c", "/none", &format!("k={here}")] {
            assert!(files(source).is_err(), "{source}");
        }
        let twice = Sources {
            from_literal: vec!["a=1".to_owned(), "a=2".to_owned()],
            ..Sources::default()
        };
        assert!(twice.read("ConfigMap", "c").is_err());
    }

    #[test]
    fn hashes_are_kubectls() {
        // kubectl create configmap x --from-literal=a=b --append-hash
        let content = json!({"kind": "ConfigMap", "name": "x", "data": {"a": "b"}});
        assert_eq!(hash(&content).len(), 10);
    }
}
