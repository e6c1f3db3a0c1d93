//! What was made of each definition, so that a change of one doesn't cost reading all: a definition is parsed once a revision,
//! and its kinds are made anew only when something in them is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use minik_api::object::Object;
use serde_json::Value;

use super::definition;
use super::naming::{Naming, Taken, decide};
use crate::kinds::CustomKind;
use crate::storage::Stored;

/// The definitions that are there, by name.
#[derive(Default)]
pub(crate) struct Known(BTreeMap<String, Seen>);

/// A definition as it was seen last.
struct Seen {
    stored: Arc<Stored>,
    /// Without its versions, which are most of it.
    slim: Object,
    naming: Option<Naming>,
    made: Option<(Maker, Vec<CustomKind>)>,
}

/// What the kinds of a definition depend on.
#[derive(PartialEq)]
struct Maker {
    uid: Option<String>,
    generation: Option<i64>,
    names: Value,
    is_leaving: bool,
}

impl Known {
    /// Looks at what is stored now, and decides on its names.
    pub(super) fn update(&mut self, all: &[Arc<Stored>]) {
        let mut before = std::mem::take(&mut self.0);
        for stored in all {
            let seen = match before.remove(stored.key.name()) {
                Some(seen) if seen.stored.revision == stored.revision => seen,
                old => Seen {
                    slim: slim(stored),
                    stored: stored.clone(),
                    naming: None,
                    made: old.and_then(|old| old.made),
                },
            };
            self.0.insert(stored.key.name().to_owned(), seen);
        }
        self.decide();
    }

    /// Names that are accepted now are taken for those that come after.
    fn decide(&mut self) {
        let mut accepted: BTreeMap<String, Value> = BTreeMap::new();
        for (name, seen) in &self.0 {
            if let Some(names) = seen.slim.at("status.acceptedNames") {
                accepted.insert(name.clone(), names.clone());
            }
        }
        let group = |object: &Object| object.at("spec.group").cloned();
        let groups: BTreeMap<String, Option<Value>> = self
            .0
            .iter()
            .map(|(name, seen)| (name.clone(), group(&seen.slim)))
            .collect();
        for (name, seen) in &mut self.0 {
            let own = groups.get(name);
            let others = accepted
                .iter()
                .filter(|(other, _)| *other != name && groups.get(*other) == own);
            let naming = decide(&seen.slim, &Taken::by(others.map(|(_, names)| names)));
            accepted.insert(name.clone(), naming.accepted.clone());
            seen.naming = Some(naming);
        }
    }

    /// The definitions with the names they get.
    pub(super) fn decided(&self) -> impl Iterator<Item = (&Object, &Naming)> {
        self.0
            .values()
            .filter_map(|seen| Some((&seen.slim, seen.naming.as_ref()?)))
    }

    /// The kinds of the definitions that `is_served` says.
    pub(super) fn kinds(&mut self, is_served: impl Fn(&Object, &Naming) -> bool) -> Vec<CustomKind> {
        let mut kinds = Vec::new();
        for seen in self.0.values_mut() {
            let Some(naming) = &seen.naming else { continue };
            if !is_served(&seen.slim, naming) {
                continue;
            }
            let metadata = &seen.slim.metadata;
            let maker = Maker {
                uid: metadata.uid.clone(),
                generation: metadata.generation,
                names: naming.accepted.clone(),
                is_leaving: metadata.deletion_timestamp.is_some(),
            };
            if seen.made.as_ref().is_none_or(|(made_by, _)| *made_by != maker) {
                let mut definition = seen.stored.object();
                naming.write(&mut definition);
                seen.made = Some((maker, definition::kinds(&definition)));
            }
            kinds.extend(seen.made.iter().flat_map(|(_, kinds)| kinds.iter().cloned()));
        }
        kinds
    }
}

fn slim(stored: &Stored) -> Object {
    let mut object = stored.object();
    if let Some(Value::Object(spec)) = object.body.get_mut("spec") {
        spec.remove("versions");
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::{Key, Revision};

    fn stored(name: &str, revision: u64, generation: i64, labels: &Value) -> Arc<Stored> {
        let value = json!({
            "metadata": {"name": format!("{name}.example.com"), "uid": name, "generation": generation, "labels": labels},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": name, "kind": name},
                "versions": [{"name": "v1", "served": true, "storage": true}]}});
        let object: Object = serde_json::from_value(value).expect("an object");
        let key = Key::new("customresourcedefinitions.apiextensions.k8s.io", "", object.name());
        Arc::new(Stored::encode(key, Revision(revision), object, |_, _| Vec::new()))
    }

    fn kinds(known: &mut Known, all: &[Arc<Stored>]) -> Vec<CustomKind> {
        known.update(all);
        known.kinds(|_, naming| naming.status == "True")
    }

    #[test]
    fn only_what_is_new_is_made() {
        let mut known = Known::default();
        let first = kinds(
            &mut known,
            &[stored("a", 1, 1, &json!({})), stored("b", 2, 1, &json!({}))],
        );
        assert_eq!(first.len(), 2);
        // A label says nothing about a kind; a new generation does.
        let second = kinds(
            &mut known,
            &[stored("a", 3, 1, &json!({"x": "y"})), stored("b", 4, 2, &json!({}))],
        );
        assert!(Arc::ptr_eq(&first[0].rules, &second[0].rules));
        assert!(!Arc::ptr_eq(&first[1].rules, &second[1].rules));
        assert!(std::ptr::eq(first[1].kind, second[1].kind));
        assert_eq!(kinds(&mut known, &[]).len(), 0);
    }

    #[test]
    fn a_name_has_one_owner() {
        let mut known = Known::default();
        let second = stored("b", 2, 1, &json!({}));
        let mut object = second.object();
        object.body["spec"]["names"]["kind"] = "a".into();
        let second = Arc::new(Stored::encode(second.key.clone(), Revision(3), object, |_, _| {
            Vec::new()
        }));
        let served = kinds(&mut known, &[stored("a", 1, 1, &json!({})), second]);
        assert_eq!(
            served.iter().map(|custom| custom.kind.plural).collect::<Vec<_>>(),
            ["a"]
        );
    }
}
