//! What the cluster, the kubeconfig and the disk have to complete a word with.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::wanted::Wanted;
use crate::cli::Global;
use crate::client::{self, Session};
use crate::commands::target::query;

/// Names alone: no need to send what objects are made of.
const NAMES: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
/// Nobody reads more.
const MOST: &str = "500";

/// The candidates for what is wanted, each with what it is.
///
/// # Errors
/// Those of asking.
pub async fn candidates(global: &Global, words: &[String], wanted: Wanted) -> anyhow::Result<Vec<(String, String)>> {
    let plain = |name: String| (name, String::new());
    match wanted {
        Wanted::OneOf(candidates) => Ok(candidates),
        Wanted::File { before, begins } => Ok(files(&begins)
            .into_iter()
            .map(|name| plain(before.clone() + &name))
            .collect()),
        Wanted::Context(begins) => {
            let path = client::kubeconfig_path(&with_words(global, words)).unwrap_or_default();
            let config = kube::config::Kubeconfig::read_from(path)?;
            let names = config.contexts.into_iter().map(|context| context.name);
            Ok(names.filter(|name| name.starts_with(&begins)).map(plain).collect())
        }
        Wanted::Kind(begins) => {
            let session = Session::open(&with_words(global, words)).await?;
            let known = session.resources().await?;
            let fitting = known.all().iter().filter(|resource| resource.can("list"));
            let mut names: Vec<(String, String)> = fitting
                .map(|resource| (resource.qualified(), resource.kind.clone()))
                .filter(|(name, _)| name.starts_with(&begins))
                .collect();
            names.sort();
            names.dedup_by(|a, b| a.0 == b.0);
            Ok(names)
        }
        Wanted::Name { kind, begins, before } => {
            let session = Session::open(&with_words(global, words)).await?;
            let resource = session.called(&kind).await?.remove(0);
            let query = query(&[("limit", MOST)]);
            let path = format!("{}{query}", resource.collection(Some(&session.namespace)));
            let list = session.get_as(&path, NAMES).await?;
            let items = list["items"].as_array().into_iter().flatten();
            let names = items.filter_map(|item: &Value| item["metadata"]["name"].as_str());
            let fitting = names.filter(|name| name.starts_with(&begins));
            Ok(fitting.map(|name| plain(format!("{before}{name}"))).collect())
        }
    }
}

/// The global flags that are among the words, which nobody has parsed yet.
fn with_words(global: &Global, words: &[String]) -> Global {
    let value = |long: &str, short: &str| {
        let mut found = None;
        for (index, word) in words.iter().enumerate() {
            if word == long || (!short.is_empty() && word == short) {
                found = words
                    .get(index + 1)
                    .filter(|_| index + 2 < words.len())
                    .cloned()
                    .or(found);
            } else if let Some(value) = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('=')) {
                found = Some(value.to_owned());
            }
        }
        found
    };
    Global {
        namespace: value("--namespace", "-n").or_else(|| global.namespace.clone()),
        context: value("--context", "").or_else(|| global.context.clone()),
        instance: value("--instance", "").or_else(|| global.instance.clone()),
        kubeconfig: value("--kubeconfig", "")
            .map(Into::into)
            .or_else(|| global.kubeconfig.clone()),
        ..global.clone()
    }
}

/// The files whose paths begin so; folders with a slash.
fn files(begins: &str) -> Vec<String> {
    let (folder, name) = match begins.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), begins),
    };
    let place = if folder.is_empty() {
        Path::new(".")
    } else {
        Path::new(&folder)
    };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let own = entry.file_name().into_string().ok()?;
            let slash = if entry.path().is_dir() { "/" } else { "" };
            let hidden = own.starts_with('.') && !name.starts_with('.');
            (own.starts_with(name) && !hidden).then(|| format!("{folder}{own}{slash}"))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_own_flags_count() {
        let words = ["get", "-n", "dev", "--context=c", "pods", ""].map(str::to_owned);
        let global = with_words(&Global::default(), &words);
        assert_eq!(
            (global.namespace.as_deref(), global.context.as_deref()),
            (Some("dev"), Some("c"))
        );
        let half = ["get", "-n", "de"].map(str::to_owned);
        assert_eq!(with_words(&Global::default(), &half).namespace, None);
    }

    #[test]
    fn files_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("pod.yaml"), "").expect("a file");
        fs::write(at(".hidden"), "").expect("a file");
        fs::create_dir(at("pods")).expect("a folder");
        let begin = format!("{}/", folder.path().display());
        assert_eq!(files(&begin), [format!("{begin}pod.yaml"), format!("{begin}pods/")]);
        assert_eq!(files(&format!("{begin}.h")), [format!("{begin}.hidden")]);
    }
}
