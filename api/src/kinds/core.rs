//! The core group: `/api/v1`.

use super::{Kind, PLAIN, SCALE, STATUS, Subresource};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "Binding",
        plural: "bindings",
        singular: "binding",
        verbs: &["create"],
        ..PLAIN
    },
    Kind {
        kind: "ComponentStatus",
        plural: "componentstatuses",
        singular: "componentstatus",
        short_names: &["cs"],
        namespaced: false,
        verbs: &["get", "list"],
        ..PLAIN
    },
    Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        ..PLAIN
    },
    Kind {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        ..PLAIN
    },
    Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        ..PLAIN
    },
    Kind {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short_names: &["limits"],
        ..PLAIN
    },
    Kind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        // One by one: whoever empties a cluster has to mean it.
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[
            Subresource {
                name: "finalize",
                kind: None,
                group_version: None,
                verbs: &["update"],
            },
            STATUS,
        ],
        ..PLAIN
    },
    Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        subresources: &[proxy("NodeProxyOptions"), STATUS],
        ..PLAIN
    },
    Kind {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short_names: &["pv"],
        namespaced: false,
        subresources: &[STATUS],
        ..PLAIN
    },
    Kind {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..PLAIN
    },
    Kind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            stream("attach", "PodAttachOptions"),
            created("binding", "Binding", None),
            EPHEMERAL_CONTAINERS,
            created("eviction", "Eviction", Some(("policy", "v1"))),
            stream("exec", "PodExecOptions"),
            LOG,
            stream("portforward", "PodPortForwardOptions"),
            proxy("PodProxyOptions"),
            RESIZE,
            STATUS,
        ],
        ..PLAIN
    },
    Kind {
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        ..PLAIN
    },
    Kind {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..PLAIN
    },
    Kind {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short_names: &["quota"],
        subresources: &[STATUS],
        ..PLAIN
    },
    Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        ..PLAIN
    },
    Kind {
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[proxy("ServiceProxyOptions"), STATUS],
        ..PLAIN
    },
    Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        subresources: &[Subresource {
            name: "token",
            kind: Some("TokenRequest"),
            group_version: Some(("authentication.k8s.io", "v1")),
            verbs: &["create"],
        }],
        ..PLAIN
    },
];

const LOG: Subresource = Subresource {
    name: "log",
    kind: None,
    group_version: None,
    verbs: &["get"],
};

const EPHEMERAL_CONTAINERS: Subresource = Subresource {
    name: "ephemeralcontainers",
    ..STATUS
};

const RESIZE: Subresource = Subresource {
    name: "resize",
    ..STATUS
};

const fn stream(name: &'static str, kind: &'static str) -> Subresource {
    Subresource {
        name,
        kind: Some(kind),
        group_version: None,
        verbs: &["create", "get"],
    }
}

/// Whatever is sent there goes on to the object.
const fn proxy(kind: &'static str) -> Subresource {
    Subresource {
        name: "proxy",
        kind: Some(kind),
        group_version: None,
        verbs: &["create", "delete", "get", "patch", "update"],
    }
}

/// A subresource that objects of another kind are posted to.
const fn created(
    name: &'static str,
    kind: &'static str,
    group_version: Option<(&'static str, &'static str)>,
) -> Subresource {
    Subresource {
        name,
        kind: Some(kind),
        group_version,
        verbs: &["create"],
    }
}
