//! Devices and who has claimed them: `/apis/resource.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "DeviceClass",
        plural: "deviceclasses",
        singular: "deviceclass",
        namespaced: false,
        ..RESOURCE
    },
    Kind {
        kind: "ResourceClaim",
        plural: "resourceclaims",
        singular: "resourceclaim",
        subresources: &[STATUS],
        ..RESOURCE
    },
    Kind {
        kind: "ResourceClaimTemplate",
        plural: "resourceclaimtemplates",
        singular: "resourceclaimtemplate",
        ..RESOURCE
    },
    Kind {
        kind: "ResourceSlice",
        plural: "resourceslices",
        singular: "resourceslice",
        namespaced: false,
        ..RESOURCE
    },
];

const RESOURCE: Kind = Kind {
    group: "resource.k8s.io",
    ..PLAIN
};
