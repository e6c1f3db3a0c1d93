//! Roles within kube-system and kube-public.

use super::{PLAIN, READ, Role, named, on};

const SYSTEM: Role = Role {
    namespace: "kube-system",
    ..PLAIN
};

pub(super) const ROLES: &[Role] = &[
    Role {
        name: "extension-apiserver-authentication-reader",
        rules: &[named(READ, "-", "configmaps", "extension-apiserver-authentication")],
        ..SYSTEM
    },
    Role {
        name: "system::leader-locking-kube-controller-manager",
        rules: &[
            on("watch", "-", "configmaps"),
            named("get update", "-", "configmaps", "kube-controller-manager"),
        ],
        bound_to: &[
            ("User", "system:kube-controller-manager"),
            ("ServiceAccount", "kube-controller-manager"),
        ],
        ..SYSTEM
    },
    Role {
        name: "system::leader-locking-kube-scheduler",
        rules: &[
            on("watch", "-", "configmaps"),
            named("get update", "-", "configmaps", "kube-scheduler"),
        ],
        bound_to: &[("User", "system:kube-scheduler"), ("ServiceAccount", "kube-scheduler")],
        ..SYSTEM
    },
    Role {
        name: "system:controller:bootstrap-signer",
        rules: &[on(READ, "-", "secrets")],
        bound_to: &[("ServiceAccount", "bootstrap-signer")],
        ..SYSTEM
    },
    Role {
        name: "system:controller:cloud-provider",
        rules: &[on("create get list watch", "-", "configmaps")],
        bound_to: &[("ServiceAccount", "cloud-provider")],
        ..SYSTEM
    },
    Role {
        name: "system:controller:token-cleaner",
        rules: &[on("delete get list watch", "-", "secrets"), super::EVENTS],
        bound_to: &[("ServiceAccount", "token-cleaner")],
        ..SYSTEM
    },
];
