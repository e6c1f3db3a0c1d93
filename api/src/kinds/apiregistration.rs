//! Which groups and versions there are: `/apis/apiregistration.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "apiregistration.k8s.io",
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    categories: &["api-extensions"],
    namespaced: false,
    subresources: &[STATUS],
    ..PLAIN
}];
