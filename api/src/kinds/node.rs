//! How containers are run: `/apis/node.k8s.io/v1`.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "node.k8s.io",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    namespaced: false,
    ..PLAIN
}];
