//! What has to be done about one object: pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::graph::{Answer, Graph, Object, Uid};
use super::{FOREGROUND, ORPHAN};

/// How a deletion treats what the object owns (`DeleteOptions.propagationPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// It goes first, they after it.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// Something to do. The object is what was decided on: if it has changed since, the API server refuses, and the change brings
/// it back here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Find out whether an owner is there that the graph doesn't know.
    Ask(OwnerReference),
    /// Delete the object.
    Delete(Propagation),
    /// Write these owners into the object.
    Own(Vec<OwnerReference>),
    /// Take this finalizer away from the object.
    Finish(&'static str),
}

/// What has to be done about this object; nothing if it isn't there.
pub(crate) fn decide(graph: &Graph, uid: &Uid) -> Vec<(Object, Action)> {
    let Some(object) = graph.get(uid) else {
        return Vec::new();
    };
    let actions = match object.is_deleting {
        true => return going(graph, object),
        false => staying(graph, object),
    };
    actions.into_iter().map(|action| (object.clone(), action)).collect()
}

/// An object that is to go: we work off our own finalizers, others are others'.
fn going(graph: &Graph, object: &Object) -> Vec<(Object, Action)> {
    let finish = |finalizer| vec![(object.clone(), Action::Finish(finalizer))];
    if object.has_finalizer(ORPHAN) {
        let orphans: Vec<_> = graph
            .dependents(&object.uid)
            .map(|dependent| (dependent.clone(), Action::Own(without(dependent, &[&object.uid]))))
            .collect();
        return if orphans.is_empty() { finish(ORPHAN) } else { orphans };
    }
    let mut blocking = blocking(graph, object);
    // Those that wait for each other in a circle would wait forever.
    if object.has_finalizer(FOREGROUND) && blocking.all(|dependent| waits_for(graph, dependent, object)) {
        return finish(FOREGROUND);
    }
    Vec::new()
}

/// Those that an owner in the foreground waits for.
fn blocking<'a>(graph: &'a Graph, owner: &'a Object) -> impl Iterator<Item = &'a Object> {
    let blocks = |dependent: &&Object| {
        let mut owners = dependent.owners.iter();
        owners.any(|one| one.uid == owner.uid.to_string() && one.block_owner_deletion == Some(true))
    };
    graph.dependents(&owner.uid).filter(blocks)
}

/// Whether one object waits, through any number of others, for the other; each waits for itself.
fn waits_for(graph: &Graph, one: &Object, other: &Object) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![one];
    while let Some(object) = next.pop() {
        if object.uid == other.uid {
            return true;
        }
        if object.is_waiting() && seen.insert(&object.uid) {
            next.extend(blocking(graph, object));
        }
    }
    false
}

/// An object that stays, unless nobody is left who owns it.
fn staying(graph: &Graph, object: &Object) -> Vec<Action> {
    let (mut solid, mut waiting, mut gone, mut unknown) = (0, Vec::new(), Vec::new(), Vec::new());
    let uids: Vec<Uid> = object.owners.iter().map(|owner| owner.uid.as_str().into()).collect();
    for (owner, uid) in object.owners.iter().zip(&uids) {
        match standing(graph, object, owner) {
            Standing::Solid => solid += 1,
            Standing::Waiting => waiting.push(uid),
            Standing::Gone => gone.push(uid),
            Standing::Unknown => unknown.push(Action::Ask(owner.clone())),
        }
    }
    if !unknown.is_empty() || uids.is_empty() {
        return unknown;
    }
    if solid > 0 {
        gone.append(&mut waiting);
        return match gone.is_empty() {
            true => Vec::new(),
            false => vec![Action::Own(without(object, &gone))],
        };
    }
    if waiting.is_empty() {
        return vec![Action::Delete(own_wish(object))];
    }
    // The owner waits for this one, which goes in the same way if it owns something.
    let mut owned = graph.dependents(&object.uid).peekable();
    if owned.peek().is_none() {
        return vec![Action::Delete(own_wish(object))];
    }
    if owned.any(Object::is_waiting)
        && object
            .owners
            .iter()
            .any(|owner| owner.block_owner_deletion == Some(true))
    {
        // Two that wait for each other would wait forever: this one blocks nobody any more, and is looked at again then.
        return vec![Action::Own(unblocked(object))];
    }
    vec![Action::Delete(Propagation::Foreground)]
}

/// How an owner stands.
enum Standing {
    /// It is there, or nobody can tell.
    Solid,
    /// It is being deleted and waits for those that it owns.
    Waiting,
    /// There is no such object.
    Gone,
    /// The API server has to be asked.
    Unknown,
}

fn standing(graph: &Graph, object: &Object, owner: &OwnerReference) -> Standing {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let Some(kind) = graph.kind(group, &owner.kind) else {
        return Standing::Solid;
    };
    // A cluster-wide object can't belong to one of a namespace: nobody can say which.
    if kind.namespaced && object.namespace.is_empty() {
        return Standing::Solid;
    }
    let uid = Uid::from(owner.uid.as_str());
    if let Some(found) = graph.get(&uid) {
        let is_meant = found.kind == *kind && found.name == owner.name;
        return match is_meant && (!kind.namespaced || found.namespace == object.namespace) {
            true if found.is_waiting() => Standing::Waiting,
            true => Standing::Solid,
            false => Standing::Gone,
        };
    }
    match graph.answer(&uid) {
        Some(Answer::Present) => Standing::Solid,
        Some(Answer::Absent) => Standing::Gone,
        None => Standing::Unknown,
    }
}

/// Finalizers that it has already say how it wants to go.
fn own_wish(object: &Object) -> Propagation {
    if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    }
}

fn without(object: &Object, gone: &[&Uid]) -> Vec<OwnerReference> {
    let is_gone = |owner: &OwnerReference| gone.contains(&&Uid::from(owner.uid.as_str()));
    object.owners.iter().filter(|owner| !is_gone(owner)).cloned().collect()
}

fn unblocked(object: &Object) -> Vec<OwnerReference> {
    let free = |owner: &OwnerReference| OwnerReference {
        block_owner_deletion: Some(false),
        ..owner.clone()
    };
    object.owners.iter().map(free).collect()
}

#[cfg(test)]
mod tests;
