//! Namespaces that are deleted: emptied, kept informed, and let go once nothing is left in them.
//!
//! ```text
//!   deleted ──> empty (delete every collection) ──> wait, and say what is left ──> verify ──> finalize
//!                 ^                                   |  something new in it         |  something after all
//!                 +-----------------------------------+------------------------------+
//! ```
//! The namespace's `status.conditions` say what is still there and who holds it, in Kubernetes' words.

mod report;

use crate::garbage::Graph;

pub(crate) use report::conditions;

/// What to do next about a namespace that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Delete what is in it.
    Empty,
    /// Others have to finish what they do with what is left.
    Wait,
    /// Nothing seems to be left: make sure, and let it go.
    Finalize,
}

/// Pure: by what is known to be in the namespace.
pub(crate) fn step(graph: &Graph, namespace: &str) -> Step {
    let mut objects = graph.in_namespace(namespace).map(|object| object.is_deleting);
    match objects.next() {
        None => Step::Finalize,
        Some(true) if objects.all(|is_deleting| is_deleting) => Step::Wait,
        Some(_) => Step::Empty,
    }
}
