//! The graph as the watches tell it, and whether all of them have told everything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::garbage::{Graph, Kind, Object, Uid};
use crate::watches::Event;

/// What is known.
#[derive(Default)]
pub(super) struct View {
    /// What there is.
    pub(super) graph: Graph,
    kinds: Vec<Arc<Kind>>,
    /// The kinds whose first list is through.
    listed: HashSet<Arc<Kind>>,
    /// What a list that is under way has shown so far: the rest is gone when it ends.
    relisted: HashMap<Arc<Kind>, HashSet<Uid>>,
}

/// What an event may have changed for others.
#[derive(Default)]
pub(super) struct Change {
    /// Objects to look at again.
    pub(super) concerned: Vec<Uid>,
    /// Namespaces to look at again.
    pub(super) namespaces: Vec<String>,
}

impl View {
    /// These kinds are served now.
    pub(super) fn set_kinds(&mut self, kinds: &[Arc<Kind>]) {
        self.graph.set_kinds(kinds);
        self.listed.retain(|kind| kinds.contains(kind));
        self.relisted.retain(|kind, _| kinds.contains(kind));
        self.kinds = kinds.to_vec();
    }

    /// Every watch has told what there is.
    pub(super) fn is_complete(&self) -> bool {
        !self.kinds.is_empty() && self.listed.len() == self.kinds.len()
    }

    /// Notes what a watch says.
    pub(super) fn apply(&mut self, kind: &Arc<Kind>, event: Event) -> Change {
        let mut change = Change::default();
        // A watch that was just stopped may have had something to say still.
        if !self.kinds.contains(kind) {
            return change;
        }
        match event {
            Event::Init => {
                self.relisted.insert(Arc::clone(kind), HashSet::new());
            }
            Event::InitApply(object) => {
                if let Some(object) = Object::new(kind, object.metadata) {
                    let relisted = self.relisted.entry(Arc::clone(kind)).or_default();
                    relisted.insert(object.uid.clone());
                    self.put(object, &mut change);
                }
            }
            Event::InitDone => {
                let seen = self.relisted.remove(kind).unwrap_or_default();
                let known = self.graph.objects().filter(|object| object.kind == *kind);
                let gone: Vec<Uid> = known
                    .map(|object| object.uid.clone())
                    .filter(|uid| !seen.contains(uid))
                    .collect();
                for uid in gone {
                    self.remove(&uid, &mut change);
                }
                self.listed.insert(Arc::clone(kind));
            }
            Event::Apply(object) => {
                if let Some(object) = Object::new(kind, object.metadata) {
                    self.put(object, &mut change);
                }
            }
            Event::Delete(object) => {
                if let Some(uid) = object.metadata.uid {
                    self.remove(&Uid::from(uid.as_str()), &mut change);
                }
            }
        }
        change
    }

    fn put(&mut self, object: Object, change: &mut Change) {
        change.namespaces.push(place(&object));
        change.concerned.extend(self.graph.put(object));
    }

    fn remove(&mut self, uid: &Uid, change: &mut Change) {
        change.namespaces.extend(self.graph.get(uid).map(place));
        change.concerned.extend(self.graph.remove(uid));
    }
}

/// The namespace that an object is in, or is.
fn place(object: &Object) -> String {
    match object.kind.group.is_empty() && object.kind.kind == "Namespace" {
        true => object.name.clone(),
        false => object.namespace.clone(),
    }
}
