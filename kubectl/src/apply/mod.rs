//! Client-side apply: what the user wrote, what they wrote last time and what the server has now become one patch.
//!
//! ```text
//!   last applied ----deletions----\
//!   manifest --------additions-----+--> patch --> server
//!   current ---------changes------/
//! ```
//! `strategic` computes patches for Kubernetes' own kinds, by the shapes that the API server merges them by (`minik_api::schema`);
//! `merge` for all other kinds. All of it is pure; `commands/apply.rs` asks and sends.

pub mod managers;
pub mod merge;
pub mod strategic;

use minik_api::schema::{self, Definition};
use serde_json::{Map, Value};

use crate::print::gojson;

/// Where the manifest of the last apply is kept, on the object itself.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A patch and how to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The content type.
    pub kind: &'static str,
    /// Empty when there is nothing to change.
    pub body: Value,
}

impl Patch {
    /// Whether the object is already what the manifest says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.as_object().is_some_and(Map::is_empty)
    }
}

/// The manifest with itself, as text, in its annotation. The namespace is part of what is remembered.
#[must_use]
pub fn annotated(manifest: &Value) -> Value {
    let mut bare = manifest.clone();
    // An absent annotations map is remembered as an empty one, as kubectl does.
    let annotations = annotations(&mut bare);
    annotations.remove(LAST_APPLIED);
    let remembered = format!("{}\n", gojson::compact(&bare));
    let mut object = bare;
    self::annotations(&mut object).insert(LAST_APPLIED.to_owned(), Value::String(remembered));
    object
}

/// The text by which an object remembers a manifest, as it stands.
#[must_use]
pub fn remembered(manifest: &Value) -> String {
    let mut bare = manifest.clone();
    if let Some(annotations) = bare.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    format!("{}\n", gojson::compact(&bare))
}

/// The manifest with itself, as text, in its annotation, as `create` and `edit` have it.
#[must_use]
pub fn remembering(manifest: &Value) -> Value {
    let mut object = manifest.clone();
    let text = remembered(manifest);
    annotations(&mut object).insert(LAST_APPLIED.to_owned(), Value::String(text));
    object
}

/// The manifest of the last apply, if the object was applied.
#[must_use]
pub fn last_applied(current: &Value) -> Option<Value> {
    let text = current
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()?;
    serde_json::from_str(text).ok()
}

/// The patch that makes `current` what `manifest` says, without touching what others added.
#[must_use]
pub fn patch(manifest: &Value, current: &Value) -> Patch {
    let before = last_applied(current).unwrap_or_else(|| Value::Object(Map::new()));
    three_way(&before, &annotated(manifest), current)
}

/// The same without what the object remembers of it: what a difference shows.
#[must_use]
pub fn patch_to_show(manifest: &Value, current: &Value) -> Patch {
    let before = last_applied(current).unwrap_or_else(|| Value::Object(Map::new()));
    let mut wanted = manifest.clone();
    annotations(&mut wanted).remove(LAST_APPLIED);
    three_way(&before, &wanted, current)
}

/// The patch that makes an object what somebody made of it in an editor.
#[must_use]
pub fn patch_of_edit(original: &Value, edited: &Value) -> Patch {
    three_way(original, edited, original)
}

fn three_way(before: &Value, wanted: &Value, current: &Value) -> Patch {
    let of = |field: &str| wanted.get(field).and_then(Value::as_str).unwrap_or_default();
    match built_in(of("apiVersion"), of("kind")) {
        Some(definition) => Patch {
            kind: "application/strategic-merge-patch+json",
            body: strategic::three_way(before, wanted, current, definition),
        },
        None => Patch {
            kind: "application/merge-patch+json",
            body: merge::three_way(before, wanted, current),
        },
    }
}

/// The patch that makes `before` into `after`: what a verb changed of an object that it read.
#[must_use]
pub fn two_way(before: &Value, after: &Value) -> Patch {
    let of = |field: &str| before.get(field).and_then(Value::as_str).unwrap_or_default();
    match built_in(of("apiVersion"), of("kind")) {
        Some(definition) => Patch {
            kind: "application/strategic-merge-patch+json",
            body: strategic::three_way(before, after, before, definition),
        },
        None => Patch {
            kind: "application/merge-patch+json",
            body: merge::three_way(before, after, before),
        },
    }
}

/// What one of Kubernetes' own kinds is made of; none for custom resources.
fn built_in(api_version: &str, kind: &str) -> Option<&'static Definition> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::named(group, version, kind)
}

fn annotations(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = child(object, "metadata");
    child(metadata, "annotations")
        .as_object_mut()
        .expect("child() leaves an object")
}

fn child<'a>(object: &'a mut Value, field: &str) -> &'a mut Value {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let map = object.as_object_mut().expect("made an object just above");
    let child = map.entry(field).or_insert(Value::Null);
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

#[cfg(test)]
mod tests;
