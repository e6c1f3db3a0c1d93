//! Objects as files have them, for what is done without a server: `--local` and `--dry-run=client`.
//!
//! Patches are merged by the API server's own code, so that what is shown is what would be stored.

use anyhow::{anyhow, bail};
use minik_api::kinds;
use minik_api::status::Status;
use serde_json::Value;

use crate::commands::objects::Files;
use crate::manifest;
use crate::resources::Resource;

/// The objects of the files, each with its kind as far as it is known without asking.
///
/// # Errors
/// When a file can't be read, or there is none.
pub async fn read(files: &Files, verb: &str) -> anyhow::Result<Vec<(Resource, Value)>> {
    if files.filename.is_empty() {
        bail!("--local needs the objects that it is to {verb}: -f FILE");
    }
    let mut objects = Vec::new();
    for document in manifest::read(&files.filename, files.recursive).await {
        let document = document?;
        let resource = resource(document.text("/apiVersion"), document.text("/kind"));
        objects.push((resource, document.object));
    }
    Ok(objects)
}

/// A kind as the table of kinds has it; one that is not in it by its name alone.
#[must_use]
pub fn resource(api_version: &str, kind: &str) -> Resource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = kinds::of(group, version, kind);
    let small = kind.to_lowercase();
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: known.map_or_else(|| format!("{small}s"), |known| known.plural.to_owned()),
        singular: small,
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: known.is_none_or(|known| known.namespaced),
        verbs: Vec::new(),
    }
}

/// RFC 6902.
///
/// # Errors
/// When an operation can't be done.
pub fn json_patch(object: &Value, patch: &Value) -> anyhow::Result<Value> {
    minik_apiserver::patch::json(object, patch.to_string().as_bytes()).map_err(|status| in_words(&status))
}

/// RFC 7386.
///
/// # Errors
/// When the patch is no object.
pub fn merge_patch(object: &Value, patch: &Value) -> anyhow::Result<Value> {
    minik_apiserver::patch::merge(object, patch.to_string().as_bytes()).map_err(|status| in_words(&status))
}

/// Kubernetes' own.
///
/// # Errors
/// When the kind is none of Kubernetes' own, or a directive is misused.
pub fn strategic_patch(object: &Value, patch: &Value) -> anyhow::Result<Value> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = kinds::of(group, version, name).ok_or_else(|| {
        anyhow!("strategic merge patch is not supported for {api_version}, Kind={name} locally, try --type merge")
    })?;
    minik_apiserver::patch::strategic(kind, object, patch.to_string().as_bytes()).map_err(|status| in_words(&status))
}

fn in_words(status: &Status) -> anyhow::Error {
    anyhow!("{}", status.message)
}
