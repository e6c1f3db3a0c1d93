//! Who owns what after a write: a value that changes goes over to whoever changed it, and what is gone nobody owns.
//!
//! This is `Updater` of structured-merge-diff, with the layers that apimachinery's `managedfields` puts around it. Pure: the
//! documents before and after come in, and the managers before go out as those after.

use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::compare::{Changes, compare};
use super::element::Element;
use super::managers::{Managed, Manager, Managers, Operation};
use super::merge::merge;
use super::owned::{fields_of, with_declared};
use super::remove::remove;
use super::set::Set;
use super::types::Type;

/// Who writes what kind of object, through which door, and when.
pub(crate) struct Write<'a> {
    /// The kind's type.
    pub(crate) of: Type<'a>,
    /// What this door doesn't write, whatever the document says: the status, through the resource itself.
    pub(crate) reset: Set,
    /// Who.
    pub(crate) by: Manager,
    /// When.
    pub(crate) now: Timestamp,
}

/// A field that somebody else owns, and that has another value there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflict {
    /// Who owns it.
    pub(crate) with: Manager,
    /// The field.
    pub(crate) path: Vec<Element>,
}

/// What came of an apply.
pub(crate) struct Outcome {
    /// The object.
    pub(crate) object: Value,
    /// Its managers.
    pub(crate) managers: Managers,
}

/// What nobody owns: identity, and what the server decides.
static UNOWNED: LazyLock<Set> = LazyLock::new(|| {
    Set::of(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

impl Write<'_> {
    /// After an update that changed this.
    pub(crate) fn update(&self, changes: Changes, mut managers: Managers) -> Managers {
        let changes = changes.without(&self.reset);
        for managed in managers.iter_mut() {
            let fields = std::mem::take(&mut managed.fields);
            managed.fields = fields
                .difference(&changes.added)
                .difference(&changes.modified)
                .difference(&changes.removed);
        }
        managers.drop_empty();
        let fields = changes.added.union(changes.modified).difference(&UNOWNED);
        if !fields.is_empty() {
            let before = managers
                .take(&self.by)
                .map(|managed| managed.fields)
                .unwrap_or_default();
            managers.set(Managed {
                by: self.by.clone(),
                fields: before.union(fields),
                time: Some(self.time()),
            });
        }
        managers.cap();
        managers
    }

    /// After this document is applied: what it says is so, and what it said last time and says no more is gone, unless somebody
    /// else owns it too.
    ///
    /// # Errors
    /// When it isn't forced, the fields that others own and that would change.
    pub(crate) fn apply(
        &self,
        live: &Value,
        document: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<Outcome, Vec<Conflict>> {
        let merged = merge(self.of, live, document);
        let last = managers.take(&self.by);
        let fields = fields_of(self.of, document).recursive_difference(&self.reset);
        managers.set(Managed {
            by: self.by.clone(),
            fields: fields.clone(),
            time: last.as_ref().and_then(|last| last.time.clone()),
        });
        let object = match &last {
            Some(last) => self.pruned(merged, &last.fields, &managers),
            None => merged,
        };
        let changes = compare(self.of, live, &object).without(&self.reset);
        let conflicts = self.conflicts(&changes, &managers);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        for managed in managers.iter_mut().filter(|managed| managed.by != self.by) {
            let fields = std::mem::take(&mut managed.fields);
            managed.fields = fields
                .difference(&changes.added)
                .difference(&changes.modified)
                .difference(&changes.removed);
        }
        let fields = fields.difference(&UNOWNED);
        let is_new = last.as_ref().is_none_or(|last| last.fields != fields);
        let unchanged = !is_new && *live == object;
        managers.set(Managed {
            by: self.by.clone(),
            fields,
            time: match last {
                Some(last) if unchanged => last.time,
                _ => Some(self.time()),
            },
        });
        managers.drop_empty();
        Ok(Outcome { object, managers })
    }

    /// Without what this manager applied last time and doesn't any more; what others own comes back.
    fn pruned(&self, merged: Value, last: &Set, managers: &Managers) -> Value {
        if last.is_empty() {
            return merged;
        }
        let of = self.of;
        let declared = |set: &Set| with_declared(set, of, &merged);
        let last = declared(last);
        let pruned = remove(of, &merged, &last);
        let all = declared(&fields_of(of, &merged));
        let owned = managers
            .iter()
            .fold(Set::default(), |owned, managed| owned.union(managed.fields.clone()));
        let kept = declared(&fields_of(of, &pruned)).union(declared(&owned));
        let pruned = remove(of, &merged, &all.clone().difference(&kept));
        // What nobody owned, but stood below something that went, stays too.
        let left = declared(&fields_of(of, &pruned));
        remove(of, &merged, &all.difference(&left).intersection(&last))
    }

    fn conflicts(&self, changes: &Changes, managers: &Managers) -> Vec<Conflict> {
        let changed = changes.modified.clone().union(changes.added.clone());
        let mut others: Vec<&Managed> = managers.iter().filter(|managed| managed.by != self.by).collect();
        others.sort_by(|one, other| (&one.by.name, &one.by).cmp(&(&other.by.name, &other.by)));
        let conflicts = others.into_iter().flat_map(|managed| {
            let paths = managed.fields.intersection(&changed).paths();
            paths.into_iter().map(|path| Conflict {
                with: managed.by.clone(),
                path,
            })
        });
        conflicts.collect()
    }

    fn time(&self) -> Time {
        Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now))
    }
}

/// Those who own what was there before the first apply to an object that nobody kept an account of.
pub(crate) fn before_first_apply(write: &Write<'_>, live: &Value) -> Managers {
    let by = Manager {
        operation: Operation::Update,
        name: "before-first-apply".to_owned(),
        ..write.by.clone()
    };
    let first = Write {
        of: write.of,
        reset: write.reset.clone(),
        by,
        now: write.now,
    };
    first.update(compare(write.of, &json!({}), live), Managers::default())
}
