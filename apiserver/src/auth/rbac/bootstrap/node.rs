//! What every node may, whichever it is: upstream's `system:node`. The node authorizer narrows what is about single pods and
//! nodes; the role is stored for those who look, and bound to nobody.

use super::{READ, Rule, on};

pub(super) const RULES: &[Rule] = &[
    on("create", "authentication.k8s.io", "tokenreviews"),
    on(
        "create",
        "authorization.k8s.io",
        "localsubjectaccessreviews subjectaccessreviews",
    ),
    on(READ, "-", "services"),
    on("create get list watch", "-", "nodes"),
    on("patch update", "-", "nodes/status"),
    on("patch update", "-", "nodes"),
    on("create patch update", "- events.k8s.io", "events"),
    on(READ, "-", "pods"),
    on("create delete", "-", "pods"),
    on("patch update", "-", "pods/status"),
    on("create", "-", "pods/eviction"),
    on(READ, "-", "configmaps secrets"),
    on("get", "-", "persistentvolumeclaims persistentvolumes"),
    on("get", "-", "endpoints"),
    on(
        "create get list watch",
        "certificates.k8s.io",
        "certificatesigningrequests",
    ),
    on("create delete get patch update", "coordination.k8s.io", "leases"),
    on("get", "storage.k8s.io", "volumeattachments"),
    on("create", "-", "serviceaccounts/token"),
    on("get patch update", "-", "persistentvolumeclaims/status"),
    on(READ, "storage.k8s.io", "csidrivers"),
    on("create delete get patch update", "storage.k8s.io", "csinodes"),
    on(READ, "node.k8s.io", "runtimeclasses"),
    on("get", "resource.k8s.io", "resourceclaims"),
    on("deletecollection", "resource.k8s.io", "resourceslices"),
];
