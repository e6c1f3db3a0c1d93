//! Kinds that users define: `/apis/apiextensions.k8s.io`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[Kind {
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    namespaced: false,
    subresources: &[STATUS],
    group: "apiextensions.k8s.io",
    ..PLAIN
}];
