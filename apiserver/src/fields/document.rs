//! An object as the walks see it, without copying its body: metadata is made of the few fields that can be owned.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use minik_api::object::Object;
use serde_json::{Map, Value, json};

use super::compare::{Changes, compare, compare_field};
use super::element::Element;
use super::set::{Node, Set};
use super::types::{Type, object_meta};

/// An object as it is before or after a write.
pub(crate) struct Document<'a> {
    metadata: Value,
    body: &'a Map<String, Value>,
}

impl<'a> Document<'a> {
    /// This object.
    pub(crate) fn of(object: &'a Object) -> Self {
        Self {
            metadata: metadata(&object.metadata),
            body: &object.body,
        }
    }

    /// What has changed since this document was the object's.
    pub(crate) fn compare(&self, of: Type<'_>, new: &Self) -> Changes {
        let mut changes = Changes::default();
        if self.metadata != new.metadata {
            let below = compare(object_meta(), &self.metadata, &new.metadata);
            put(&mut changes, "metadata", below);
        }
        let gone = self.body.keys().filter(|name| !new.body.contains_key(*name));
        for name in new.body.keys().chain(gone).filter(|name| *name != "metadata") {
            let (old, new) = (self.body.get(name), new.body.get(name));
            if old == new {
                continue;
            }
            merge(&mut changes, compare_field(of, name, old, new));
        }
        changes
    }
}

fn put(changes: &mut Changes, name: &str, below: Changes) {
    for (set, below) in [
        (&mut changes.added, below.added),
        (&mut changes.modified, below.modified),
        (&mut changes.removed, below.removed),
    ] {
        let node = Node { member: false, below };
        set.put(Element::Field(name.to_owned()), node);
    }
}

fn merge(changes: &mut Changes, more: Changes) {
    let union = |set: &mut Set, more: Set| *set = std::mem::take(set).union(more);
    union(&mut changes.added, more.added);
    union(&mut changes.modified, more.modified);
    union(&mut changes.removed, more.removed);
}

/// The metadata that somebody can own; the rest is the server's.
fn metadata(metadata: &ObjectMeta) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("annotations", json!(metadata.annotations));
    put("labels", json!(metadata.labels));
    put("finalizers", json!(metadata.finalizers));
    put("ownerReferences", json!(metadata.owner_references));
    put("generateName", json!(metadata.generate_name));
    put("deletionTimestamp", json!(metadata.deletion_timestamp));
    put(
        "deletionGracePeriodSeconds",
        json!(metadata.deletion_grace_period_seconds),
    );
    Value::Object(fields)
}
