//! Field management's place in the order of a write: after a kind's defaults, before admission, since what admission adds
//! nobody asked for. The rules themselves are [`crate::fields`].

use jiff::Timestamp;
use minik_api::kinds::Kind;
use minik_api::object::Object;

use super::{FieldManager, WriteOptions};
use crate::fields::{self, Manager, Operation, Write};
use crate::kinds::Rules;

pub(super) use crate::fields::is_same;

/// The new object's fields belong to whoever creates it.
pub(super) fn created(kind: &'static Kind, rules: &dyn Rules, options: &WriteOptions<'_>, new: &mut Object) {
    if let Some(manager) = options.manager {
        fields::track_create(&manager.write(kind, rules, Operation::Update), new);
    }
}

/// The fields that change belong to whoever changes them.
pub(super) fn updated(
    kind: &'static Kind,
    rules: &dyn Rules,
    options: &WriteOptions<'_>,
    old: &Object,
    new: &mut Object,
) {
    if let Some(manager) = options.manager {
        fields::track_update(&manager.write(kind, rules, Operation::Update), old, new);
    }
}

impl FieldManager<'_> {
    /// What field management has to know of a write by this manager. Fields are named as they are in the version in which the
    /// kind's objects are kept, whichever the client speaks: then no two managers mean different fields by one name.
    pub(crate) fn write<'a>(&self, kind: &'static Kind, rules: &'a dyn Rules, operation: Operation) -> Write<'a> {
        let kind = kind.stored();
        let name = if self.name.is_empty() { "unknown" } else { self.name };
        Write {
            of: rules.fields_type(kind),
            reset: rules.reset_fields(kind, self.subresource),
            by: Manager {
                operation,
                name: name.to_owned(),
                api_version: kind.api_version(),
                subresource: self.subresource.to_owned(),
            },
            now: Timestamp::now(),
        }
    }
}
