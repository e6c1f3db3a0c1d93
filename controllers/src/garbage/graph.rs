//! What there is and who owns it: every object's identity, owners and finalizers, by uid.
//!
//! It follows the watches, so it is behind the API server by a moment: that an owner is absent is never concluded from it alone
//! (see [`Answer`]).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// How many answers of the API server about owners are remembered.
const ANSWERS_MAX: usize = 10_000;

/// `metadata.uid`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Uid(Arc<str>);

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kind that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(crate) group: String,
    /// The version that is asked for.
    pub(crate) version: String,
    /// `ReplicaSet`
    pub(crate) kind: String,
    /// `replicasets`
    pub(crate) plural: String,
    /// Its objects live in namespaces.
    pub(crate) namespaced: bool,
}

/// An object, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// Its kind.
    pub(crate) kind: Arc<Kind>,
    /// Empty for cluster kinds.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Which one of that name.
    pub(crate) uid: Uid,
    /// In which state it was seen.
    pub(crate) resource_version: String,
    /// Who owns it.
    pub(crate) owners: Vec<OwnerReference>,
    /// What has to be done before it may go.
    pub(crate) finalizers: Vec<String>,
    /// It has been told to go.
    pub(crate) is_deleting: bool,
}

impl Object {
    /// From its metadata; `None` without a uid, which no stored object lacks.
    pub(crate) fn new(kind: &Arc<Kind>, metadata: ObjectMeta) -> Option<Self> {
        Some(Self {
            kind: Arc::clone(kind),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: Uid::from(metadata.uid?.as_str()),
            resource_version: metadata.resource_version.unwrap_or_default(),
            owners: metadata.owner_references.unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            is_deleting: metadata.deletion_timestamp.is_some(),
        })
    }

    pub(crate) fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// Whether it is being deleted in the foreground: it waits for those that it owns.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_deleting && self.has_finalizer(super::FOREGROUND)
    }
}

/// What the API server said when it was asked for an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is there.
    Present,
    /// It isn't, or is another one of the same name.
    Absent,
}

/// All objects.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    objects: HashMap<Uid, Object>,
    /// By the uid of an owner, whether it is here or not.
    dependents: HashMap<Uid, BTreeSet<Uid>>,
    namespaces: HashMap<String, BTreeSet<Uid>>,
    /// By group and kind.
    kinds: HashMap<(String, String), Arc<Kind>>,
    answers: HashMap<Uid, Answer>,
}

impl Graph {
    /// The kinds that are watched from now on. Objects of others are forgotten, which says nothing about them.
    pub(crate) fn set_kinds(&mut self, kinds: &[Arc<Kind>]) {
        let key = |kind: &Arc<Kind>| (kind.group.clone(), kind.kind.clone());
        self.kinds = kinds.iter().map(|kind| (key(kind), Arc::clone(kind))).collect();
        let others = self.objects.values().filter(|object| !kinds.contains(&object.kind));
        let others: Vec<Uid> = others.map(|object| object.uid.clone()).collect();
        for uid in others {
            self.unlink(&uid);
        }
    }

    /// The kind of a group; `None` when nothing of it is watched.
    pub(crate) fn kind(&self, group: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), kind.to_owned()))
    }

    /// The kinds that are watched.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    /// One object.
    pub(crate) fn get(&self, uid: &Uid) -> Option<&Object> {
        self.objects.get(uid)
    }

    /// Everything.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// What names this one as an owner.
    pub(crate) fn dependents(&self, owner: &Uid) -> impl Iterator<Item = &Object> {
        let uids = self.dependents.get(owner).into_iter().flatten();
        uids.filter_map(|uid| self.objects.get(uid))
    }

    /// The object of a cluster kind that has this name.
    pub(crate) fn named(&self, kind: &Kind, name: &str) -> Option<&Object> {
        self.in_namespace("")
            .find(|object| *object.kind == *kind && object.name == name)
    }

    /// What is in a namespace; in none, for the empty one.
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Object> {
        let uids = self.namespaces.get(namespace).into_iter().flatten();
        uids.filter_map(|uid| self.objects.get(uid))
    }

    /// Notes an object as it is now. Gives whom that may concern: itself, those that it owns, those that own it.
    pub(crate) fn put(&mut self, object: Object) -> Vec<Uid> {
        let uid = object.uid.clone();
        let mut concerned = self.unlink(&uid);
        for owner in &object.owners {
            let owner = Uid::from(owner.uid.as_str());
            self.dependents.entry(owner.clone()).or_default().insert(uid.clone());
            concerned.push(owner);
        }
        let in_namespace = self.namespaces.entry(object.namespace.clone()).or_default();
        in_namespace.insert(uid.clone());
        self.answers.remove(&uid);
        self.objects.insert(uid.clone(), object);
        concerned.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        concerned.push(uid);
        concerned
    }

    /// Notes that an object is gone. Gives whom that may concern: itself, those that it owned, those that owned it.
    pub(crate) fn remove(&mut self, uid: &Uid) -> Vec<Uid> {
        let mut concerned = self.unlink(uid);
        self.answers.remove(uid);
        concerned.extend(self.dependents.get(uid).into_iter().flatten().cloned());
        concerned.push(uid.clone());
        concerned
    }

    /// Notes what the API server says of an owner.
    pub(crate) fn answered(&mut self, owner: Uid, answer: Answer) {
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(owner, answer);
    }

    /// What the API server said of an owner that isn't here.
    pub(crate) fn answer(&self, owner: &Uid) -> Option<Answer> {
        self.answers.get(owner).copied()
    }

    /// Takes an object out; gives those that owned it.
    fn unlink(&mut self, uid: &Uid) -> Vec<Uid> {
        let Some(object) = self.objects.remove(uid) else {
            return Vec::new();
        };
        let owners: Vec<Uid> = object.owners.iter().map(|owner| owner.uid.as_str().into()).collect();
        for owner in &owners {
            take(&mut self.dependents, owner, uid);
        }
        take(&mut self.namespaces, &object.namespace, uid);
        owners
    }
}

/// Takes a uid out of one of the sets; a set that is empty goes too.
fn take<K: std::hash::Hash + Eq>(sets: &mut HashMap<K, BTreeSet<Uid>>, key: &K, uid: &Uid) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(uid);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
