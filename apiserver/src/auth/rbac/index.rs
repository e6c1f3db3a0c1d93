//! The roles and bindings as decisions need them: decoded once, found by subject.
//!
//! Nobody tells the index of changes: the request that finds it older than the store brings it up to date, so whoever has
//! been told that a binding is stored can rely on it. As long as nothing changes that costs a look at four numbers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use minik_api::object::Object;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::{Binding, Grant, PolicyRule, RoleRef, Subject};
use crate::auth::User;
use crate::auth::authorize::Asked;
use crate::storage::{EventKind, Key, Revision, Store};

/// The resources, as the store calls them. Roles before bindings, but it doesn't matter: they are joined when asked.
const RESOURCES: [&str; 4] = [
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
];

/// The authorizer by roles.
pub(crate) struct Rbac {
    store: Store,
    state: RwLock<State>,
}

struct State {
    sources: Vec<Source>,
    index: Index,
}

/// How far the index is with one resource.
struct Source {
    resource: &'static str,
    changes: watch::Receiver<Revision>,
    seen: Revision,
}

impl Rbac {
    /// Reads what is stored.
    pub(crate) fn new(store: Store) -> Self {
        let mut index = Index::default();
        let sources = RESOURCES.map(|resource| {
            // Before the snapshot: what changes after it is noticed.
            let changes = store.subscribe(resource);
            let seen = index.load(&store, resource);
            Source {
                resource,
                changes,
                seen,
            }
        });
        let state = RwLock::new(State {
            sources: sources.into(),
            index,
        });
        Self { store, state }
    }

    /// Whether a role grants this to the user; if not, which roles could have but aren't there.
    pub(crate) fn decide(&self, user: &User, namespace: &str, asked: &Asked<'_>) -> Result<Grant, Vec<String>> {
        self.with(|index| index.decide(user, namespace, asked))
    }

    /// All rules that hold for the user in this namespace (empty: those that hold everywhere), and what is missing.
    pub(crate) fn rules(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        self.with(|index| {
            let mut rules = Vec::new();
            let mut missing = Vec::new();
            for (binding, _) in index.bindings(user, namespace) {
                match index.roles.get(&binding.role) {
                    Some(role) => rules.extend(role.iter().cloned()),
                    None => missing.push(not_found(&binding.role)),
                }
            }
            (rules, missing)
        })
    }

    /// The rules of one role.
    pub(crate) fn role(&self, role: &RoleRef) -> Option<Arc<[PolicyRule]>> {
        self.with(|index| index.roles.get(role).cloned())
    }

    fn with<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let is_old = |source: &Source| source.changes.has_changed().unwrap_or(false);
        if !state.sources.iter().any(is_old) {
            return read(&state.index);
        }
        drop(state);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State { sources, index } = &mut *state;
        for source in sources.iter_mut().filter(|source| is_old(source)) {
            source.changes.borrow_and_update();
            source.seen = index.follow(&self.store, source.resource, source.seen);
        }
        read(&state.index)
    }
}

#[derive(Default)]
struct Index {
    roles: HashMap<RoleRef, Arc<[PolicyRule]>>,
    bindings: HashMap<Key, Arc<Binding>>,
    /// By namespace (empty: everywhere) and subject.
    by_subject: HashMap<String, HashMap<Subject, BTreeSet<Key>>>,
}

impl Index {
    fn decide(&self, user: &User, namespace: &str, asked: &Asked<'_>) -> Result<Grant, Vec<String>> {
        let mut missing = Vec::new();
        for (binding, subject) in self.bindings(user, namespace) {
            match self.roles.get(&binding.role) {
                Some(role) if role.iter().any(|rule| rule.allows(asked)) => return Ok(Grant { binding, subject }),
                Some(_) => {}
                None => missing.push(not_found(&binding.role)),
            }
        }
        missing.sort();
        missing.dedup();
        Err(missing)
    }

    /// The bindings that are for this user, first those of everywhere; with the place of the subject.
    fn bindings(&self, user: &User, namespace: &str) -> Vec<(Arc<Binding>, usize)> {
        let subjects = Subject::of(user);
        let mut found = Vec::new();
        for scope in BTreeSet::from(["", namespace]) {
            let Some(by_subject) = self.by_subject.get(scope) else {
                continue;
            };
            let keys: BTreeSet<&Key> = subjects
                .iter()
                .filter_map(|subject| by_subject.get(subject))
                .flatten()
                .collect();
            for binding in keys.into_iter().filter_map(|key| self.bindings.get(key)) {
                let place = binding.subjects.iter().position(|subject| subjects.contains(subject));
                found.extend(place.map(|place| (binding.clone(), place)));
            }
        }
        found
    }

    /// Takes everything of a resource as it is now, in the place of what was there.
    fn load(&mut self, store: &Store, resource: &str) -> Revision {
        let snapshot = store.snapshot(resource);
        match resource.contains("bindings") {
            false => self
                .roles
                .retain(|role, _| role.namespace.is_some() == resource.starts_with("cluster")),
            true => {
                let old: Vec<Key> = self
                    .bindings
                    .keys()
                    .filter(|key| key.resource() == resource)
                    .cloned()
                    .collect();
                old.iter().for_each(|key| self.remove(key));
            }
        }
        for stored in snapshot.objects(resource, "", None) {
            self.put(&stored.key, &stored.object());
        }
        snapshot.revision
    }

    /// Takes what has happened since.
    fn follow(&mut self, store: &Store, resource: &str, seen: Revision) -> Revision {
        let Ok((events, revision)) = store.events(resource, seen) else {
            return self.load(store, resource);
        };
        for event in events {
            let stored = &event.object;
            match event.kind {
                EventKind::Deleted => self.remove(&stored.key),
                EventKind::Added | EventKind::Modified => self.put(&stored.key, &stored.object()),
            }
        }
        revision
    }

    fn put(&mut self, key: &Key, object: &Object) {
        self.remove(key);
        if key.resource().contains("bindings") {
            let binding = Arc::new(binding(object));
            let by_subject = self.by_subject.entry(binding.namespace.clone()).or_default();
            for subject in &binding.subjects {
                by_subject.entry(subject.clone()).or_default().insert(key.clone());
            }
            self.bindings.insert(key.clone(), binding);
        } else {
            self.roles.insert(role_ref(key), rules(object).into());
        }
    }

    fn remove(&mut self, key: &Key) {
        if !key.resource().contains("bindings") {
            self.roles.remove(&role_ref(key));
            return;
        }
        let Some(binding) = self.bindings.remove(key) else {
            return;
        };
        let Some(by_subject) = self.by_subject.get_mut(&binding.namespace) else {
            return;
        };
        for subject in &binding.subjects {
            if let Some(keys) = by_subject.get_mut(subject) {
                keys.remove(key);
                if keys.is_empty() {
                    by_subject.remove(subject);
                }
            }
        }
        if by_subject.is_empty() {
            self.by_subject.remove(&binding.namespace);
        }
    }
}

fn role_ref(key: &Key) -> RoleRef {
    RoleRef {
        namespace: Some(key.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
        name: key.name().to_owned(),
    }
}

fn not_found(role: &RoleRef) -> String {
    format!(
        "{}.rbac.authorization.k8s.io {:?} not found",
        role.kind().to_lowercase(),
        role.name
    )
}

/// The rules of a role; what can't be read grants nothing.
pub(super) fn rules(object: &Object) -> Vec<PolicyRule> {
    let rules = object.body.get("rules").and_then(Value::as_array).map(Vec::as_slice);
    let read = rules.unwrap_or_default().iter().map(PolicyRule::deserialize);
    read.filter_map(Result::ok).collect()
}

/// A binding as it is stored; a subject of a kind that isn't known is nobody.
pub(super) fn binding(object: &Object) -> Binding {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let role = object.body.get("roleRef").cloned().unwrap_or_default();
    let subjects = object.body.get("subjects").and_then(Value::as_array).map(Vec::as_slice);
    let subject = |value: &Value| {
        let name = text(value, "name");
        match text(value, "kind").as_str() {
            "User" => Some(Subject::User(name)),
            "Group" => Some(Subject::Group(name)),
            "ServiceAccount" => {
                let said = text(value, "namespace");
                let namespace = if said.is_empty() {
                    object.namespace().to_owned()
                } else {
                    said
                };
                Some(Subject::ServiceAccount { namespace, name })
            }
            _ => None,
        }
    };
    let namespace = object.namespace().to_owned();
    Binding {
        role: RoleRef {
            namespace: (text(&role, "kind") == "Role").then(|| namespace.clone()),
            name: text(&role, "name"),
        },
        namespace,
        name: object.name().to_owned(),
        subjects: subjects.unwrap_or_default().iter().filter_map(subject).collect(),
    }
}
