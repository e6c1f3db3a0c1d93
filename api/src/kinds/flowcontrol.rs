//! Which requests go first: `/apis/flowcontrol.apiserver.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "FlowSchema",
        plural: "flowschemas",
        singular: "flowschema",
        ..FLOW_CONTROL
    },
    Kind {
        kind: "PriorityLevelConfiguration",
        plural: "prioritylevelconfigurations",
        singular: "prioritylevelconfiguration",
        ..FLOW_CONTROL
    },
];

const FLOW_CONTROL: Kind = Kind {
    group: "flowcontrol.apiserver.k8s.io",
    namespaced: false,
    subresources: &[STATUS],
    ..PLAIN
};
