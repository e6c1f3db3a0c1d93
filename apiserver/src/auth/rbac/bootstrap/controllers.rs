//! ClusterRoles of controllers: each runs as a service account of its own in kube-system, which is named like it.

use super::{EVENTS, PLAIN, READ, Role, on};

const ALL: &str = "delete get list patch update watch";

pub(super) const ROLES: &[Role] = &[
    Role {
        name: "system:controller:certificate-controller",
        rules: &[
            on(
                "delete get list watch",
                "certificates.k8s.io",
                "certificatesigningrequests",
            ),
            on(
                "update",
                "certificates.k8s.io",
                "certificatesigningrequests/approval certificatesigningrequests/status",
            ),
            on("approve sign", "certificates.k8s.io", "signers"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            EVENTS,
        ],
        bound_to: &[
            ("ServiceAccount", "certificate-controller"),
            ("User", "system:kube-controller-manager"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:controller:clusterrole-aggregation-controller",
        rules: &[on(
            "escalate get list patch update watch",
            "rbac.authorization.k8s.io",
            "clusterroles",
        )],
        bound_to: &[("ServiceAccount", "clusterrole-aggregation-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:cronjob-controller",
        rules: &[
            on("get list update watch", "batch", "cronjobs"),
            on("create delete get list patch update watch", "batch", "jobs"),
            on("update", "batch", "cronjobs/finalizers cronjobs/status"),
            on("delete list", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "cronjob-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:daemon-set-controller",
        rules: &[
            on(READ, "apps extensions", "daemonsets"),
            on("update", "apps extensions", "daemonsets/finalizers daemonsets/status"),
            on("list watch", "-", "nodes"),
            on("create delete list patch watch", "-", "pods"),
            on("create", "-", "pods/binding"),
            on(
                "create delete get list patch update watch",
                "apps",
                "controllerrevisions",
            ),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "daemon-set-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:deployment-controller",
        rules: &[
            on("get list update watch", "apps extensions", "deployments"),
            on("update", "apps extensions", "deployments/finalizers deployments/status"),
            on(
                "create delete get list patch update watch",
                "apps extensions",
                "replicasets",
            ),
            on("get list update watch", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "deployment-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:disruption-controller",
        rules: &[
            on(READ, "apps extensions", "deployments replicasets"),
            on(READ, "-", "replicationcontrollers"),
            on(READ, "apps", "statefulsets"),
            on(READ, "policy", "poddisruptionbudgets"),
            on("update", "policy", "poddisruptionbudgets/status"),
            on("patch update", "-", "pods/status"),
            on("get", "*", "*/scale"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "disruption-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:endpoint-controller",
        rules: &[
            on(READ, "-", "pods services"),
            on("create delete get list update", "-", "endpoints"),
            on("create", "-", "endpoints/restricted"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "endpoint-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:endpointslice-controller",
        rules: &[
            on(READ, "-", "nodes pods services"),
            on("update", "-", "services/finalizers"),
            on("create delete get list update", "discovery.k8s.io", "endpointslices"),
            on("create", "discovery.k8s.io", "endpointslices/restricted"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "endpointslice-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:generic-garbage-collector",
        rules: &[on(ALL, "*", "*"), EVENTS],
        // Both run in one process here, as themselves.
        bound_to: &[
            ("ServiceAccount", "generic-garbage-collector"),
            ("User", "system:kube-controller-manager"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:controller:horizontal-pod-autoscaler",
        rules: &[
            on(READ, "autoscaling", "horizontalpodautoscalers"),
            on("update", "autoscaling", "horizontalpodautoscalers/status"),
            on("get update", "*", "*/scale"),
            on("list", "-", "pods"),
            on("list", "metrics.k8s.io", "pods"),
            on("get list", "custom.metrics.k8s.io", "*"),
            on("get list", "external.metrics.k8s.io", "*"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "horizontal-pod-autoscaler")],
        ..PLAIN
    },
    Role {
        name: "system:controller:job-controller",
        rules: &[
            on("get list patch update watch", "batch", "jobs"),
            on("update", "batch", "jobs/finalizers jobs/status"),
            on("create delete list patch watch", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "job-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:namespace-controller",
        rules: &[
            on("delete get list watch", "-", "namespaces"),
            on("update", "-", "namespaces/finalize namespaces/status"),
            on("delete deletecollection get list", "*", "*"),
        ],
        // Both run in one process here, as themselves.
        bound_to: &[
            ("ServiceAccount", "namespace-controller"),
            ("User", "system:kube-controller-manager"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:controller:node-controller",
        rules: &[
            on("delete get list patch update", "-", "nodes"),
            on("patch update", "-", "nodes/status"),
            on("patch update", "-", "pods/status"),
            on("delete get list", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "node-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:pod-garbage-collector",
        rules: &[
            on("delete list watch", "-", "pods"),
            on("get list", "-", "nodes"),
            on("patch", "-", "pods/status"),
        ],
        bound_to: &[("ServiceAccount", "pod-garbage-collector")],
        ..PLAIN
    },
    Role {
        name: "system:controller:replicaset-controller",
        rules: &[
            on("get list update watch", "apps extensions", "replicasets"),
            on("update", "apps extensions", "replicasets/finalizers replicasets/status"),
            on("create delete list patch watch", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "replicaset-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:replication-controller",
        rules: &[
            on("get list update watch", "-", "replicationcontrollers"),
            on(
                "update",
                "-",
                "replicationcontrollers/finalizers replicationcontrollers/status",
            ),
            on("create delete list patch watch", "-", "pods"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "replication-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:resourcequota-controller",
        rules: &[
            on("list watch", "*", "*"),
            on("update", "-", "resourcequotas/status"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "resourcequota-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:root-ca-cert-publisher",
        rules: &[on("create update", "-", "configmaps"), EVENTS],
        bound_to: &[("ServiceAccount", "root-ca-cert-publisher")],
        ..PLAIN
    },
    Role {
        name: "system:controller:service-account-controller",
        rules: &[on("create", "-", "serviceaccounts"), EVENTS],
        bound_to: &[("ServiceAccount", "service-account-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:statefulset-controller",
        rules: &[
            on("list watch", "-", "pods"),
            on(READ, "apps", "statefulsets"),
            on("update", "apps", "statefulsets/finalizers statefulsets/status"),
            on("create delete get patch update", "-", "pods"),
            on(
                "create delete get list patch update watch",
                "apps",
                "controllerrevisions",
            ),
            on("create get list watch", "-", "persistentvolumeclaims"),
            on("delete update", "-", "persistentvolumeclaims"),
            EVENTS,
        ],
        bound_to: &[("ServiceAccount", "statefulset-controller")],
        ..PLAIN
    },
    Role {
        name: "system:controller:ttl-after-finished-controller",
        rules: &[on("delete get list watch", "batch", "jobs"), EVENTS],
        bound_to: &[("ServiceAccount", "ttl-after-finished-controller")],
        ..PLAIN
    },
];
