//! What evictions have to respect: `/apis/policy/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[Kind {
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    subresources: &[STATUS],
    ..POLICY
}];

const POLICY: Kind = Kind {
    group: "policy",
    ..PLAIN
};
