//! The garbage collector: objects whose owners are gone go too, and an owner that is deleted in the foreground waits for what
//! it owns.
//!
//! ```text
//! watches ──> graph ──> decide(graph, object) ──> delete │ disown │ finish (take our finalizer away) │ ask for an owner
//! ```
//! The API server only writes down how a deletion is meant: `Background` removes the object at once, `Foreground` and `Orphan`
//! leave a finalizer that [`decide`] works off. Rules: Kubernetes' garbage collection
//! (kubernetes.io/docs/concepts/architecture/garbage-collection).

mod decide;
mod graph;

pub(crate) use decide::{Action, Propagation, decide};
pub(crate) use graph::{Answer, Graph, Kind, Object, Uid};

/// The finalizer of an object that waits for those that it owns.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are to live on.
pub(crate) const ORPHAN: &str = "orphan";
