//! Field management: who set which field of an object, and server-side apply, which lives on that. Pure.
//!
//! ```text
//! create, update, patch:  before, after --compare--> added, modified, removed --track--> managers
//! apply:   live, document --validate, merge, remove what it says no more--> object, managers, or conflicts
//!
//! types     what a value is made of, by the table of shapes or the schema of a custom resource
//! element, set, encode      ways to fields, sets of them, and their form in `metadata.managedFields`
//! owned, compare, merge, remove, validate      the walks over values by their types
//! managers, track, last_applied, conflict      who owns what, and what becomes of it
//! ```
//! The rules are those of structured-merge-diff and of apimachinery's `managedfields`; every client sees them.

mod canonical;
mod compare;
mod conflict;
mod document;
mod element;
mod encode;
mod last_applied;
mod managers;
mod merge;
mod owned;
mod remove;
mod set;
mod track;
mod types;
mod validate;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::schema;
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::kinds::versions;
use document::Document;
pub(crate) use managers::{Manager, Operation};
use managers::{Managers, is_reset};
pub(crate) use set::Set;
pub(crate) use track::Write;
pub(crate) use types::Type;

/// The type of a built-in kind; of others nothing is known but their metadata.
pub(crate) fn type_of<'a>(kind: &Kind) -> Type<'a> {
    match schema::of(kind) {
        Some(definition) => Type::Definition(definition, false),
        None => Type::Custom(None),
    }
}

/// What isn't written through this door: the status through the resource itself, and the other way round.
pub(crate) fn reset_fields(kind: &Kind, subresource: &str) -> Set {
    match subresource {
        "" if kind.subresource("status").is_some() => Set::of(&["status"]),
        "status" => {
            let mut fields = vec!["spec", "metadata.ownerReferences", "metadata.finalizers"];
            let others = schema::of(kind).map_or(&[][..], schema::Definition::fields).iter();
            let others = others.map(|field| field.name);
            fields.extend(others.filter(|name| !["apiVersion", "kind", "metadata", "spec", "status"].contains(name)));
            Set::of(&fields)
        }
        _ => Set::default(),
    }
}

/// Writes down who creates this object. A client that brings managers along (a restored backup) keeps them.
pub(crate) fn track_create(write: &Write<'_>, new: &mut Object) {
    let given = new.metadata.managed_fields.take();
    let managers = given.as_deref().and_then(|given| Managers::decode(given).ok());
    let changes = Document::of(&Object::default()).compare(write.of, &Document::of(new));
    new.metadata.managed_fields = write.update(changes, managers.unwrap_or_default()).encode();
}

/// Writes down who owns what now that `old` has become `new`. Of an object that nobody kept an account of none is begun.
pub(crate) fn track_update(write: &Write<'_>, old: &Object, new: &mut Object) {
    let changes = Document::of(old).compare(write.of, &Document::of(new));
    let given = new.metadata.managed_fields.take();
    let before = old.metadata.managed_fields.as_deref().unwrap_or_default();
    // Subresources have no say in who manages.
    let given = given.filter(|_| write.by.subresource.is_empty());
    if changes == compare::Changes::default() && given.as_deref().is_none_or(|given| given == before) {
        new.metadata.managed_fields.clone_from(&old.metadata.managed_fields);
        return;
    }
    if is_reset(given.as_deref()) {
        return;
    }
    let given = given.and_then(|given| Managers::decode(&given).ok());
    let managers = match given.filter(|given| !given.is_empty()) {
        Some(given) => given,
        None => Managers::decode(before).unwrap_or_default(),
    };
    if !managers.is_empty() {
        new.metadata.managed_fields = write.update(changes, managers).encode();
    }
}

/// What was applied: a document, and whether it takes what others own.
pub(crate) struct Apply {
    kind: &'static Kind,
    document: Value,
    force: bool,
}

impl Apply {
    /// Parts of an object of this kind, whose type is `of`; `force` takes over fields in conflict.
    ///
    /// # Errors
    /// 400 for another kind's document, 500 (as upstream) for one that doesn't fit the type.
    pub(crate) fn new(kind: &'static Kind, of: Type<'_>, mut document: Value, force: bool) -> Result<Self, Status> {
        check(kind, of, &document)?;
        if let Some(definition) = schema::of(kind) {
            canonical::document(definition, &mut document);
        }
        if kind.stored() != kind {
            let mut object: Object = serde_json::from_value(document)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
            versions::to_stored(kind, &mut object);
            document = object.to_value();
        }
        let kind = kind.stored();
        Ok(Self { kind, document, force })
    }

    /// The object that this makes of `live`, as a document that is to be decoded, and its managers; all in the version in which
    /// objects are kept.
    ///
    /// # Errors
    /// 409 with causes for conflicts.
    pub(crate) fn to(
        &self,
        write: &Write<'_>,
        live: Option<&Object>,
    ) -> Result<(Value, Option<Vec<ManagedFieldsEntry>>), Status> {
        let mut before = Managers::default();
        let mut object = json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind});
        if let Some(live) = live {
            let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
            before = Managers::decode(entries)
                .map_err(|error| Status::failure(500, "", format!("failed to decode managed fields: {error}")))?;
            object = live.to_value();
            object["apiVersion"] = self.kind.api_version().into();
            if let Value::Object(metadata) = &mut object["metadata"] {
                metadata.remove("managedFields");
            }
            if before.is_empty() {
                before = track::before_first_apply(write, &object);
            }
        }
        let mut outcome = self.outcome(write, &object, before)?;
        if write.by.name == last_applied::KUBECTL {
            last_applied::renew(&mut outcome.object, &self.document);
        }
        Ok((outcome.object, outcome.managers.encode()))
    }

    fn outcome(&self, write: &Write<'_>, live: &Value, before: Managers) -> Result<track::Outcome, Status> {
        let conflicts = match write.apply(live, &self.document, before.clone(), self.force) {
            Ok(outcome) => return Ok(outcome),
            Err(conflicts) => conflicts,
        };
        let taken_over = match write.by.name.as_str() {
            last_applied::KUBECTL => last_applied::fields(write.of, &self.kind.api_version(), live),
            _ => None,
        };
        let Some(taken_over) = taken_over else {
            return Err(conflict::status(&conflicts));
        };
        let left = conflicts.into_iter().filter(|conflict| !taken_over.has(&conflict.path));
        let left: Vec<_> = left.collect();
        if !left.is_empty() {
            return Err(conflict::status(&left));
        }
        write
            .apply(live, &self.document, before, true)
            .map_err(|conflicts| conflict::status(&conflicts))
    }
}

fn check(kind: &Kind, of: Type<'_>, document: &Value) -> Result<(), Status> {
    let text = |name: &str| document[name].as_str().unwrap_or_default();
    let (said_version, said_kind) = (text("apiVersion"), text("kind"));
    if (said_version, said_kind) != (kind.api_version().as_str(), kind.kind) {
        let (group, version) = said_version.split_once('/').unwrap_or(("", said_version));
        let message = format!("invalid object type: {group}/{version}, Kind={said_kind}");
        return Err(Status::bad_request(message));
    }
    let metadata = &document["metadata"];
    if metadata.get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    validate::validate(of, document).map_err(|errors| {
        let name = |name: &str| metadata[name].as_str().unwrap_or_default();
        let (namespace, name) = (name("namespace"), name("name"));
        let message = format!(
            "failed to create typed patch object ({namespace}/{name}; {said_version}, Kind={said_kind}): {errors}"
        );
        Status::failure(500, "", message)
    })
}

/// Whether `new` is `old` again, but for the times at which managers last wrote: then it isn't a write.
pub(crate) fn is_same(new: &mut Object, old: &Object) -> bool {
    if new == old {
        return true;
    }
    let (Some(after), Some(before)) = (&new.metadata.managed_fields, &old.metadata.managed_fields) else {
        return false;
    };
    fn who(entry: &ManagedFieldsEntry) -> [Option<&str>; 4] {
        let fields = [&entry.manager, &entry.operation, &entry.subresource, &entry.api_version];
        fields.map(|text| text.as_deref())
    }
    let known: BTreeMap<_, _> = before.iter().map(|entry| (who(entry), entry)).collect();
    let same = |entry: &ManagedFieldsEntry| {
        let other = known.get(&who(entry));
        other.is_some_and(|other| (&entry.fields_type, &entry.fields_v1) == (&other.fields_type, &other.fields_v1))
    };
    if before.len() != after.len() || !after.iter().all(same) {
        return false;
    }
    let own = new.metadata.managed_fields.replace(before.clone());
    let is_same = new == old;
    if !is_same {
        new.metadata.managed_fields = own;
    }
    is_same
}

#[cfg(test)]
mod tests;
