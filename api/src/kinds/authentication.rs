//! Who somebody is: `/apis/authentication.k8s.io/v1`. Reviews: created to ask, and never stored.

use super::{Kind, REVIEW};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        ..AUTHENTICATION
    },
    Kind {
        kind: "TokenReview",
        plural: "tokenreviews",
        singular: "tokenreview",
        ..AUTHENTICATION
    },
];

const AUTHENTICATION: Kind = Kind {
    group: "authentication.k8s.io",
    ..REVIEW
};
