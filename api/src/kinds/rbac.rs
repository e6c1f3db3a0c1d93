//! Who may do what: `/apis/rbac.authorization.k8s.io/v1`.

use super::{Kind, PLAIN};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        namespaced: false,
        ..RBAC
    },
    Kind {
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        namespaced: false,
        ..RBAC
    },
    Kind {
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        ..RBAC
    },
    Kind {
        kind: "Role",
        plural: "roles",
        singular: "role",
        ..RBAC
    },
];

const RBAC: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    ..PLAIN
};
