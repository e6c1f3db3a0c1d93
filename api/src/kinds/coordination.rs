//! Who holds what: `/apis/coordination.k8s.io/v1`.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[Kind {
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    ..COORDINATION
}];

const COORDINATION: Kind = Kind {
    group: "coordination.k8s.io",
    ..PLAIN
};
