//! `Managers`: who set which fields of an object, and when; the decoded form of `metadata.managedFields`.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};

use super::encode::{self, InvalidSet};
use super::set::Set;

/// More managers that update than these are too many: the oldest become one.
const UPDATERS_MAX: usize = 10;
/// The one that they become.
const ANCIENT: &str = "ancient-changes";
const FIELDS_TYPE: &str = "FieldsV1";

/// What a manager did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// Said what it wants, by server-side apply.
    Apply,
    /// Wrote, by any other verb.
    Update,
}

/// A manager: a name, and how it writes. The same name that updates and applies is two managers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Manager {
    /// Applies or updates.
    pub(crate) operation: Operation,
    /// `kubectl-client-side-apply`
    pub(crate) name: String,
    /// In which version of the kind its fields are named. Who applies is the same manager in any version.
    pub(crate) api_version: String,
    /// Empty for the resource itself.
    pub(crate) subresource: String,
}

impl Manager {
    /// What makes it this manager and no other.
    fn identity(&self) -> Self {
        let mut identity = self.clone();
        if self.operation == Operation::Apply {
            identity.api_version.clear();
        }
        identity
    }
}

/// A manager and its fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Managed {
    /// Who.
    pub(crate) by: Manager,
    /// What; never empty for long.
    pub(crate) fields: Set,
    /// When it last changed something; in whole seconds.
    pub(crate) time: Option<Time>,
}

/// All managers of an object; none twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Managers {
    by_identity: BTreeMap<Manager, Managed>,
}

/// `managedFields` that can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEntry {
    /// Neither.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// Whose fields?
    #[error("apiVersion must not be empty")]
    ApiVersion,
    /// Not given.
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    /// Not `FieldsV1`.
    #[error("invalid fieldsType {0:?} in managed fields entry {1}")]
    FieldsType(String, usize),
    /// The fields themselves.
    #[error("error decoding set: {0}")]
    Fields(#[from] InvalidSet),
}

impl Managers {
    /// Reads `metadata.managedFields`.
    pub(crate) fn decode(entries: &[ManagedFieldsEntry]) -> Result<Self, InvalidEntry> {
        let mut managers = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let operation = match entry.operation.as_deref() {
                Some("Apply") => Operation::Apply,
                Some("Update") => Operation::Update,
                _ => return Err(InvalidEntry::Operation),
            };
            let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            match filled(&entry.fields_type).as_deref() {
                Some(FIELDS_TYPE) => {}
                None => return Err(InvalidEntry::NoFieldsType(index)),
                Some(other) => return Err(InvalidEntry::FieldsType(other.to_owned(), index)),
            }
            let by = Manager {
                operation,
                name: entry.manager.clone().unwrap_or_default(),
                api_version: filled(&entry.api_version).ok_or(InvalidEntry::ApiVersion)?,
                subresource: entry.subresource.clone().unwrap_or_default(),
            };
            let fields = entry.fields_v1.as_ref().map(|fields| encode::decode(&fields.0));
            managers.set(Managed {
                by,
                fields: fields.transpose()?.unwrap_or_default(),
                time: entry.time.clone(),
            });
        }
        Ok(managers)
    }

    /// As `metadata.managedFields`: those who apply first, then by time, then by name.
    pub(crate) fn encode(self) -> Option<Vec<ManagedFieldsEntry>> {
        if self.is_empty() {
            return None;
        }
        let mut list: Vec<Managed> = self.by_identity.into_values().collect();
        let second = |managed: &Managed| managed.time.as_ref().map_or(0, |time| time.0.as_second());
        list.sort_by(|one, other| {
            let by_time = (one.by.operation, second(one)).cmp(&(other.by.operation, second(other)));
            by_time.then_with(|| one.by.cmp(&other.by))
        });
        let entries = list.into_iter().map(|managed| ManagedFieldsEntry {
            api_version: Some(managed.by.api_version),
            fields_type: Some(FIELDS_TYPE.to_owned()),
            fields_v1: Some(FieldsV1(encode::encode(&managed.fields))),
            manager: Some(managed.by.name),
            operation: Some(format!("{:?}", managed.by.operation)),
            subresource: Some(managed.by.subresource).filter(|text| !text.is_empty()),
            time: managed.time,
        });
        Some(entries.collect())
    }

    /// Nobody manages anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Managed> {
        self.by_identity.values()
    }

    /// All of them, to take fields away from them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Managed> {
        self.by_identity.values_mut()
    }

    /// This one's fields.
    pub(crate) fn get(&self, by: &Manager) -> Option<&Managed> {
        self.by_identity.get(&by.identity())
    }

    /// Puts a manager in the place of itself.
    pub(crate) fn set(&mut self, managed: Managed) {
        self.by_identity.insert(managed.by.identity(), managed);
    }

    /// Lets those go who have nothing left.
    pub(crate) fn drop_empty(&mut self) {
        self.by_identity.retain(|_, managed| !managed.fields.is_empty());
    }

    /// Makes the oldest of too many that update one, for each version that they name fields in.
    pub(crate) fn cap(&mut self) {
        let mut oldest: Vec<Manager> = self.updaters();
        let mut count = oldest.len();
        if count <= UPDATERS_MAX {
            return;
        }
        let mut first: HashMap<String, Manager> = HashMap::new();
        for by in oldest.drain(..) {
            if count <= UPDATERS_MAX {
                break;
            }
            let bucket = Manager {
                operation: Operation::Update,
                name: ANCIENT.to_owned(),
                api_version: by.api_version.clone(),
                subresource: String::new(),
            };
            let Some(first) = first.get(&by.api_version) else {
                first.insert(by.api_version.clone(), by);
                continue;
            };
            if self.get(&bucket).is_none()
                && let Some(managed) = self.take(first)
            {
                self.set(Managed {
                    by: bucket.clone(),
                    ..managed
                });
            }
            let Some(managed) = self.take(&by) else {
                continue;
            };
            let before = self.take(&bucket).map(|managed| managed.fields).unwrap_or_default();
            self.set(Managed {
                by: bucket,
                fields: before.union(managed.fields),
                // The younger of the two.
                time: managed.time,
            });
            count -= 1;
        }
    }

    /// Those that update, oldest first.
    fn updaters(&self) -> Vec<Manager> {
        let updaters = self.iter().filter(|managed| managed.by.operation == Operation::Update);
        let mut updaters: Vec<&Managed> = updaters.collect();
        let second = |managed: &Managed| managed.time.as_ref().map_or(0, |time| time.0.as_second());
        updaters.sort_by(|one, other| (second(one), &one.by).cmp(&(second(other), &other.by)));
        updaters.into_iter().map(|managed| managed.by.clone()).collect()
    }

    /// Takes a manager out.
    pub(crate) fn take(&mut self, by: &Manager) -> Option<Managed> {
        self.by_identity.remove(&by.identity())
    }
}

/// Whether a client asks for everybody to be forgotten: an empty list, or one empty entry.
pub(crate) fn is_reset(entries: Option<&[ManagedFieldsEntry]>) -> bool {
    match entries {
        Some([]) => true,
        Some([entry]) => *entry == ManagedFieldsEntry::default(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    fn entry(manager: &str, second: i64, fields: serde_json::Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            api_version: Some("v1".into()),
            fields_type: Some("FieldsV1".into()),
            fields_v1: Some(FieldsV1(fields)),
            manager: Some(manager.into()),
            operation: Some("Update".into()),
            subresource: None,
            time: Timestamp::from_second(second).ok().map(Time),
        }
    }

    #[test]
    fn entries_come_back_in_order() {
        let mut apply = entry("z", 9, json!({"f:data": {}}));
        apply.operation = Some("Apply".into());
        let (old, new) = (entry("b", 1, json!({"f:a": {}})), entry("a", 2, json!({"f:b": {}})));
        let entries = [new.clone(), apply.clone(), old.clone()];
        let managers = Managers::decode(&entries).expect("readable");
        assert_eq!(managers.encode(), Some(vec![apply, old, new]));
        assert_eq!(Managers::default().encode(), None);
    }

    #[test]
    fn what_cant_be_read_says_why() {
        let wrong = |change: fn(&mut ManagedFieldsEntry)| {
            let mut entry = entry("a", 1, json!({}));
            change(&mut entry);
            Managers::decode(&[entry]).expect_err("it is wrong").to_string()
        };
        assert_eq!(
            wrong(|entry| entry.operation = None),
            "operation must be `Apply` or `Update`"
        );
        assert_eq!(wrong(|entry| entry.api_version = None), "apiVersion must not be empty");
        assert_eq!(
            wrong(|entry| entry.fields_type = None),
            "missing fieldsType in managed fields entry 0"
        );
        let fields = wrong(|entry| entry.fields_v1 = Some(FieldsV1(json!({"x": 1}))));
        assert_eq!(fields, "error decoding set: \"x\" is no path element");
    }

    #[test]
    fn the_oldest_of_many_become_one() {
        let entries: Vec<_> = (0..13)
            .map(|n| entry(&format!("m{n:02}"), n, json!({format!("f:{n}"): {}})))
            .collect();
        let mut managers = Managers::decode(&entries).expect("readable");
        managers.cap();
        let names: Vec<&str> = managers.iter().map(|managed| managed.by.name.as_str()).collect();
        assert_eq!(names.len(), 10);
        assert!(names.contains(&"ancient-changes") && !names.contains(&"m03") && names.contains(&"m04"));
        let ancient = managers.iter().find(|managed| managed.by.name == "ancient-changes");
        let ancient = ancient.expect("made");
        assert_eq!(ancient.fields, Set::of(&["0", "1", "2", "3"]));
        assert_eq!(ancient.time.as_ref().map(|time| time.0.as_second()), Some(3));
    }

    #[test]
    fn resets_are_told() {
        assert!(is_reset(Some(&[])) && is_reset(Some(&[ManagedFieldsEntry::default()])));
        assert!(!is_reset(None) && !is_reset(Some(&[entry("a", 1, json!({}))])));
    }
}
