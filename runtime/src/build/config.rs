//! An image's config as it grows from instruction to instruction. Pure.
//!
//! It stays JSON: docker's fields that OCI doesn't know (SHELL, HEALTHCHECK, ONBUILD) are kept, as is what nobody here knows.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

/// Docker's path for images that say nothing of one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A whole config document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config(Map<String, Value>);

impl Config {
    /// Of an image without layers.
    pub(super) fn scratch(architecture: &str) -> Self {
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Env": [format!("PATH={PATH}")]},
            "rootfs": {"type": "layers", "diff_ids": []}, "history": [],
        });
        Self::of(config)
    }

    /// Of a base image: what is its own alone (who made it, when, its triggers) is taken away.
    pub(super) fn of(base: Value) -> Self {
        let mut document = match base {
            Value::Object(document) => document,
            _ => Map::new(),
        };
        for own in [
            "author",
            "container",
            "container_config",
            "docker_version",
            "id",
            "parent",
        ] {
            document.remove(own);
        }
        Self(document)
    }

    pub(super) fn document(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// What says what is run: all that later steps depend on, without times.
    pub(super) fn part(&self) -> String {
        self.0.get("config").map(Value::to_string).unwrap_or_default()
    }

    pub(super) fn set_author(&mut self, author: &str) {
        self.0.insert("author".to_owned(), author.into());
    }

    /// A field of the part that says what is run.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get("config")?.get(field)
    }

    pub(super) fn set(&mut self, field: &str, value: Value) {
        self.run().insert(field.to_owned(), value);
    }

    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.run().remove(field)
    }

    fn run(&mut self) -> &mut Map<String, Value> {
        let run = self.0.entry("config").or_insert_with(|| json!({}));
        if !run.is_object() {
            *run = json!({});
        }
        run.as_object_mut().expect("it was just made one")
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn words(&self, field: &str) -> Vec<String> {
        let words = self.get(field).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }

    /// What the shell form is given to.
    pub(super) fn shell(&self) -> Vec<String> {
        let shell = self.words("Shell");
        if shell.is_empty() {
            return vec!["/bin/sh".to_owned(), "-c".to_owned()];
        }
        shell
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let env = self.get("Env").and_then(Value::as_array)?;
        let mut pairs = env.iter().filter_map(|pair| pair.as_str()?.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())
    }

    pub(super) fn set_variable(&mut self, name: &str, value: &str) {
        let mut env = self.words("Env");
        let pair = format!("{name}={value}");
        let known = env
            .iter_mut()
            .find(|known| known.split_once('=').is_some_and(|(known, _)| known == name));
        match known {
            Some(known) => *known = pair,
            None => env.push(pair),
        }
        self.set("Env", json!(env));
    }

    /// Adds names to a set: `ExposedPorts`, `Volumes`.
    pub(super) fn add_names(&mut self, field: &str, names: impl IntoIterator<Item = String>) {
        let mut set = self.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        set.extend(names.into_iter().map(|name| (name, json!({}))));
        self.set(field, Value::Object(set));
    }

    pub(super) fn add_labels_if_any(&mut self, labels: &HashMap<String, String>) {
        if !labels.is_empty() {
            self.add_labels(labels.clone());
        }
    }

    pub(super) fn add_labels(&mut self, labels: impl IntoIterator<Item = (String, String)>) {
        let mut all = self
            .get("Labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        all.extend(labels.into_iter().map(|(name, value)| (name, Value::String(value))));
        self.set("Labels", Value::Object(all));
    }

    /// A path as it stands in an instruction: relative ones begin at the WORKDIR.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        let base = self.text("WorkingDir");
        cleaned(&Path::new(if base.is_empty() { "/" } else { base }).join(written))
    }

    /// One more step in the image's history.
    pub(super) fn add_history(&mut self, created: &str, by: &str, empty: bool) {
        let mut entry = json!({"created": created, "created_by": by});
        if empty {
            entry["empty_layer"] = json!(true);
        }
        let history = self.0.entry("history").or_insert_with(|| json!([]));
        if let Some(history) = history.as_array_mut() {
            history.push(entry);
        }
    }

    /// A base may tell less than its layers: then readers would take ours for its.
    pub(super) fn fill_history(&mut self, layers: usize) {
        let history = self.0.entry("history").or_insert_with(|| json!([]));
        if !history.is_array() {
            *history = json!([]);
        }
        let history = history.as_array_mut().expect("it was just made one");
        let told = history
            .iter()
            .filter(|entry| entry["empty_layer"] != json!(true))
            .count();
        history.extend((told..layers).map(|_| json!({"created_by": "a layer of the base image"})));
    }

    pub(super) fn finish(&mut self, created: &str, diff_ids: &[&str]) {
        self.0.insert("created".to_owned(), created.into());
        self.0
            .insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": diff_ids}));
    }
}

/// Absolute, without `.` and `..`, by the text alone.
pub(super) fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// `80`, `80/udp`, `8000-8002` of an EXPOSE, each port for itself.
pub(super) fn ports(written: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = written.split_once('/').unwrap_or((written, "tcp"));
    let wrong = || format!("{written:?} is no port: write 80, 80/udp or 8000-8010");
    if !["tcp", "udp", "sctp"].contains(&protocol.to_lowercase().as_str()) {
        return Err(wrong());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{}", protocol.to_lowercase()))
        .collect())
}

/// `30s`, `1m30s`, `500ms` in nanoseconds, as docker keeps the times of a HEALTHCHECK.
pub(super) fn nanoseconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: write 30s or 1m30s");
    let mut sum = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let units = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..units] {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000_u64,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        sum = part.and_then(|part| sum.checked_add(part)).ok_or_else(wrong)?;
        rest = &unit[units..];
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_again_replaces_what_was() {
        let mut config = Config::scratch("amd64");
        config.set_variable("A", "1");
        config.set_variable("A", "2");
        config.set_variable("AB", "3");
        assert_eq!(config.words("Env")[1..], ["A=2", "AB=3"]);
        assert_eq!(config.variable("A").as_deref(), Some("2"));
        config.add_labels([("l".to_owned(), "1".to_owned())]);
        config.add_labels([("l".to_owned(), "2".to_owned())]);
        assert_eq!(config.get("Labels"), Some(&json!({"l": "2"})));
        config.add_names("ExposedPorts", ports("80-81/UDP").expect("ports"));
        assert_eq!(config.get("ExposedPorts"), Some(&json!({"80/udp": {}, "81/udp": {}})));
    }

    #[test]
    fn each_layer_of_a_base_has_its_place_in_the_history() {
        let mut config = Config::of(json!({"history": [{"created_by": "a"}, {"empty_layer": true}]}));
        config.fill_history(3);
        config.add_history("1970-01-01T00:00:00Z", "RUN x", false);
        let history = config.document()["history"].as_array().map(Vec::len);
        assert_eq!(history, Some(5));
        let mut lacking = Config::of(json!({}));
        lacking.fill_history(1);
        assert_eq!(lacking.document()["history"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn what_nobody_here_knows_is_kept() {
        let config = Config::of(json!({"config": {"Healthcheck": {"Test": ["NONE"]}}, "x": 1, "author": "a"}));
        assert_eq!(
            config.document(),
            json!({"config": {"Healthcheck": {"Test": ["NONE"]}}, "x": 1})
        );
    }

    #[test]
    fn paths_begin_at_the_working_directory_and_end_beneath_the_root() {
        let mut config = Config::scratch("amd64");
        assert_eq!(config.path("app"), Path::new("/app"));
        config.set("WorkingDir", json!("/srv"));
        for (written, expected) in [("a/./b", "/srv/a/b"), ("/x", "/x"), ("../../..", "/"), (".", "/srv")] {
            assert_eq!(config.path(written), Path::new(expected));
        }
    }

    #[test]
    fn ports_and_times_are_read() {
        for wrong in ["", "x", "80/icmp", "9-8", "70000"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
        assert_eq!(nanoseconds("1m30s"), Ok(90_000_000_000));
        assert_eq!(nanoseconds("500ms"), Ok(500_000_000));
        for wrong in ["5", "s5", "5d", "99999999999999999999h"] {
            assert!(nanoseconds(wrong).is_err(), "{wrong}");
        }
    }
}
