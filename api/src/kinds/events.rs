//! What happened, in its newer form: `/apis/events.k8s.io/v1`. The objects are those of the core group.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "events.k8s.io",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    stored_in: Some(("", "v1")),
    ..PLAIN
}];
