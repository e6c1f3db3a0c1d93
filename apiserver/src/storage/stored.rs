//! A stored object: its JSON, encoded once, and beside it what selectors ask for, so that a list decodes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use minik_api::object::Object;
use minik_api::selector::{Fields, Labels};
use serde_json::Value;

use super::key::{Key, Revision};

/// The selectable fields of an object of this resource, besides `metadata.name` and `metadata.namespace`.
pub(crate) type Index = fn(resource: &str, object: &Object) -> Vec<(&'static str, String)>;

/// An object as it is kept in memory and sent to clients.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where it is.
    pub(crate) key: Key,
    /// When it was last changed; also in the JSON, as `metadata.resourceVersion`.
    pub(crate) revision: Revision,
    /// The whole object.
    pub(crate) json: Bytes,
    labels: BTreeMap<String, String>,
    fields: Box<[(&'static str, String)]>,
}

impl Stored {
    /// Encodes an object, with this revision in its metadata.
    pub(crate) fn encode(key: Key, revision: Revision, mut object: Object, index: Index) -> Self {
        object.metadata.resource_version = Some(revision.to_string());
        let json = serde_json::to_vec(&object)
            .expect("an object has only string keys")
            .into();
        Self::of(key, revision, json, object, index)
    }

    /// What a dry run answers: as if it were stored.
    pub(crate) fn unsaved(key: Key, object: &Object) -> Self {
        Self {
            key,
            revision: Revision::default(),
            json: serde_json::to_vec(object)
                .expect("an object has only string keys")
                .into(),
            labels: BTreeMap::new(),
            fields: Box::default(),
        }
    }

    /// Takes an object as it was encoded before.
    pub(crate) fn decode(key: Key, revision: Revision, json: Bytes, index: Index) -> Result<Self, serde_json::Error> {
        let object = serde_json::from_slice(&json)?;
        Ok(Self::of(key, revision, json, object, index))
    }

    fn of(key: Key, revision: Revision, json: Bytes, object: Object, index: Index) -> Self {
        let fields = index(key.resource(), &object).into();
        let labels = object.metadata.labels.unwrap_or_default();
        Self {
            key,
            revision,
            json,
            labels,
            fields,
        }
    }

    /// The object.
    pub(crate) fn object(&self) -> Object {
        serde_json::from_slice(&self.json).expect("what is stored was encoded here or verified when it was loaded")
    }

    /// Whether selectors take it.
    pub(crate) fn selected(&self, labels: &Labels, fields: &Fields) -> bool {
        labels.matches(&self.labels) && fields.matches(|path| self.field(path))
    }

    /// For kinds whose selectable fields come and go: nothing is kept for them, so the object itself is asked.
    fn text_at(&self, path: &str) -> String {
        let value = serde_json::from_slice::<Value>(&self.json).unwrap_or_default();
        match path.split('.').try_fold(&value, |value, name| value.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
            _ => String::new(),
        }
    }

    fn field(&self, path: &str) -> Cow<'_, str> {
        match path {
            "metadata.name" => self.key.name().into(),
            "metadata.namespace" => self.key.namespace().into(),
            _ => match self.fields.iter().find(|(name, _)| *name == path) {
                Some((_, text)) => text.into(),
                None => self.text_at(path).into(),
            },
        }
    }
}
