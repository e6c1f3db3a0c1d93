//! ClusterRoles for people and programs.

use super::{EVENTS, PLAIN, READ, READ_WRITE, Role, WRITE, named, on, paths};

const CSR: &str = "certificates.k8s.io";

pub(super) const ROLES: &[Role] = &[
    Role {
        name: "cluster-admin",
        rules: &[on("*", "*", "*"), paths("*", "*")],
        bound_to: &[("Group", "system:masters")],
        ..PLAIN
    },
    Role {
        name: "admin",
        aggregates: true,
        ..PLAIN
    },
    Role {
        name: "edit",
        part_of: "admin",
        aggregates: true,
        ..PLAIN
    },
    Role {
        name: "view",
        part_of: "edit",
        aggregates: true,
        ..PLAIN
    },
    Role {
        name: "system:aggregate-to-admin",
        part_of: "admin",
        rules: &[
            on("create", "authorization.k8s.io", "localsubjectaccessreviews"),
            on(READ_WRITE, "rbac.authorization.k8s.io", "rolebindings roles"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:aggregate-to-edit",
        part_of: "edit",
        rules: &[
            on(
                READ,
                "-",
                "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
            ),
            on("impersonate", "-", "serviceaccounts"),
            on(WRITE, "-", "pods pods/attach pods/exec pods/portforward pods/proxy"),
            on("create", "-", "pods/eviction"),
            on(
                WRITE,
                "-",
                "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
                 serviceaccounts services services/proxy",
            ),
            on("create", "-", "serviceaccounts/token"),
            on(
                WRITE,
                "apps",
                "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets \
                 statefulsets/scale",
            ),
            on(WRITE, "autoscaling", "horizontalpodautoscalers"),
            on(WRITE, "batch", "cronjobs jobs"),
            on(
                WRITE,
                "extensions",
                "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets \
                 replicasets/scale replicationcontrollers/scale",
            ),
            on(WRITE, "policy", "poddisruptionbudgets"),
            on(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
            on(READ_WRITE, "coordination.k8s.io", "leases"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:aggregate-to-view",
        part_of: "view",
        rules: &[
            on(
                READ,
                "-",
                "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
                 replicationcontrollers/scale serviceaccounts services services/status",
            ),
            on(
                READ,
                "-",
                "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
                 resourcequotas resourcequotas/status",
            ),
            on(READ, "-", "namespaces"),
            on(READ, "discovery.k8s.io", "endpointslices"),
            on(
                READ,
                "apps",
                "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status \
                 replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
            ),
            on(
                READ,
                "autoscaling",
                "horizontalpodautoscalers horizontalpodautoscalers/status",
            ),
            on(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
            on(
                READ,
                "extensions",
                "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status \
                 networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
            ),
            on(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
            on(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:auth-delegator",
        rules: &[
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
        ..PLAIN
    },
    Role {
        name: "system:basic-user",
        rules: &[
            on(
                "create",
                "authorization.k8s.io",
                "selfsubjectaccessreviews selfsubjectrulesreviews",
            ),
            on("create", "authentication.k8s.io", "selfsubjectreviews"),
        ],
        bound_to: &[("Group", "system:authenticated")],
        ..PLAIN
    },
    Role {
        name: "system:discovery",
        rules: &[paths(
            "get",
            "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
        )],
        bound_to: &[("Group", "system:authenticated")],
        ..PLAIN
    },
    Role {
        name: "system:public-info-viewer",
        rules: &[paths("get", "/healthz /livez /readyz /version /version/")],
        bound_to: &[("Group", "system:authenticated"), ("Group", "system:unauthenticated")],
        ..PLAIN
    },
    Role {
        name: "system:monitoring",
        rules: &[paths(
            "get",
            "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
        )],
        bound_to: &[("Group", "system:monitoring")],
        ..PLAIN
    },
    Role {
        name: "system:service-account-issuer-discovery",
        rules: &[paths("get", "/.well-known/openid-configuration /openid/v1/jwks")],
        bound_to: &[("Group", "system:serviceaccounts")],
        ..PLAIN
    },
    Role {
        name: "system:kube-scheduler",
        rules: &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            on("list watch", "coordination.k8s.io", "leases"),
            named("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
            on("create", "coordination.k8s.io", "leasecandidates"),
            on(READ, "-", "nodes"),
            on("delete get list watch", "-", "pods"),
            on("create", "-", "bindings pods/binding"),
            on("patch update", "-", "pods/status"),
            on(READ, "-", "replicationcontrollers services"),
            on(READ, "apps extensions", "replicasets"),
            on(READ, "apps", "statefulsets"),
            on(READ, "policy", "poddisruptionbudgets"),
            on(READ, "-", "persistentvolumeclaims persistentvolumes"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on(READ, "storage.k8s.io", "csinodes"),
            on(READ, "-", "namespaces"),
            on(
                READ,
                "storage.k8s.io",
                "csidrivers csistoragecapacities volumeattachments",
            ),
            on(READ, "resource.k8s.io", "deviceclasses resourceclaims resourceslices"),
            on("patch update", "resource.k8s.io", "resourceclaims/status"),
        ],
        bound_to: &[("User", "system:kube-scheduler")],
        ..PLAIN
    },
    Role {
        name: "system:volume-scheduler",
        rules: &[
            on("get list patch update watch", "-", "persistentvolumes"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("get list patch update watch", "-", "persistentvolumeclaims"),
        ],
        bound_to: &[("User", "system:kube-scheduler")],
        ..PLAIN
    },
    Role {
        name: "system:kube-controller-manager",
        rules: &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
            on("create", "-", "secrets serviceaccounts"),
            on("delete", "-", "secrets"),
            on("get", "-", "configmaps namespaces secrets serviceaccounts"),
            on("update", "-", "secrets serviceaccounts"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on("list watch", "*", "*"),
            on("create", "-", "serviceaccounts/token"),
        ],
        bound_to: &[("User", "system:kube-controller-manager")],
        ..PLAIN
    },
    Role {
        name: "system:kube-dns",
        rules: &[on("list watch", "-", "endpoints services")],
        bound_to: &[("ServiceAccount", "kube-dns")],
        ..PLAIN
    },
    Role {
        name: "system:kubelet-api-admin",
        rules: &[
            on(READ, "-", "nodes"),
            on("proxy", "-", "nodes"),
            on(
                "*",
                "-",
                "nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats",
            ),
        ],
        ..PLAIN
    },
    Role {
        name: "system:node",
        rules: super::node::RULES,
        ..PLAIN
    },
    Role {
        name: "system:node-bootstrapper",
        rules: &[on("create get list watch", CSR, "certificatesigningrequests")],
        ..PLAIN
    },
    Role {
        name: "system:node-problem-detector",
        rules: &[on("get", "-", "nodes"), on("patch", "-", "nodes/status"), EVENTS],
        ..PLAIN
    },
    Role {
        name: "system:node-proxier",
        rules: &[
            on("list watch", "-", "endpoints services"),
            on(READ, "-", "nodes"),
            EVENTS,
            on("list watch", "discovery.k8s.io", "endpointslices"),
            on("list watch", "networking.k8s.io", "servicecidrs"),
        ],
        bound_to: &[("User", "system:kube-proxy")],
        ..PLAIN
    },
    Role {
        name: "system:persistent-volume-provisioner",
        rules: &[
            on("create delete get list watch", "-", "persistentvolumes"),
            on("get list update watch", "-", "persistentvolumeclaims"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("watch", "-", "events"),
            EVENTS,
        ],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        rules: &[on("create", CSR, "certificatesigningrequests/nodeclient")],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        rules: &[on("create", CSR, "certificatesigningrequests/selfnodeclient")],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:kube-apiserver-client-approver",
        rules: &[named("approve", CSR, "signers", "kubernetes.io/kube-apiserver-client")],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        rules: &[named(
            "approve",
            CSR,
            "signers",
            "kubernetes.io/kube-apiserver-client-kubelet",
        )],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:kubelet-serving-approver",
        rules: &[named("approve", CSR, "signers", "kubernetes.io/kubelet-serving")],
        ..PLAIN
    },
    Role {
        name: "system:certificates.k8s.io:legacy-unknown-approver",
        rules: &[named("approve", CSR, "signers", "kubernetes.io/legacy-unknown")],
        ..PLAIN
    },
];
