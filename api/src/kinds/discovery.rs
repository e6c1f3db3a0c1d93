//! What answers behind a service: `/apis/discovery.k8s.io/v1`.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    ..PLAIN
}];
