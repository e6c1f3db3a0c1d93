//! Which pods go first: `/apis/scheduling.k8s.io/v1`.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    namespaced: false,
    ..PLAIN
}];
