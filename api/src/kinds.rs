//! The table of kinds: the identity of everything the API serves.
//!
//! One row is a kind's whole presence on the wire: paths, discovery, names. Its rules (defaults, validation, columns) stand in
//! `apiserver/src/kinds/`. Adding a kind is one row here and, if it has rules of its own, one file there.

/// The identity of a kind, as discovery tells it (metav1.APIResource).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// `""` is the core group.
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// `Pod`
    pub kind: &'static str,
    /// `pods`: in paths.
    pub plural: &'static str,
    /// `pod`
    pub singular: &'static str,
    /// `po`
    pub short_names: &'static [&'static str],
    /// `all`
    pub categories: &'static [&'static str],
    /// Lives in a namespace.
    pub namespaced: bool,
    /// The subresources that are served.
    pub subresources: &'static [Subresource],
}

/// A subresource and what can be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subresource {
    /// `status`
    pub name: &'static str,
    /// The kind of its bodies when it isn't the resource's own: `Binding`.
    pub kind: Option<&'static str>,
    /// `get`, `patch`, `update`, `create`.
    pub verbs: &'static [&'static str],
}

impl Kind {
    /// `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `deployments.apps`: how messages name the resource.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The subresource called `name`.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }
}

/// Every kind that is served.
#[must_use]
pub fn all() -> &'static [Kind] {
    KINDS
}

/// The kind of this group, version and kind.
#[must_use]
pub fn of(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|row| (row.group, row.version, row.kind) == (group, version, kind))
}

/// The kind served at this group, version and plural.
#[must_use]
pub fn at(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|row| (row.group, row.version, row.plural) == (group, version, plural))
}

const STATUS: Subresource = Subresource {
    name: "status",
    kind: None,
    verbs: &["get", "patch", "update"],
};

const fn stream(name: &'static str, kind: &'static str) -> Subresource {
    Subresource {
        name,
        kind: Some(kind),
        verbs: &["create", "get"],
    }
}

/// A namespaced core kind without extras; rows change what differs.
const CORE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    subresources: &[],
};

static KINDS: &[Kind] = &[
    Kind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            STATUS,
            Subresource {
                name: "binding",
                kind: Some("Binding"),
                verbs: &["create"],
            },
            Subresource {
                name: "log",
                kind: None,
                verbs: &["get"],
            },
            stream("exec", "PodExecOptions"),
            stream("attach", "PodAttachOptions"),
            stream("portforward", "PodPortForwardOptions"),
        ],
        ..CORE
    },
    Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        subresources: &[STATUS],
        ..CORE
    },
    Kind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        subresources: &[
            STATUS,
            Subresource {
                name: "finalize",
                kind: None,
                verbs: &["update"],
            },
        ],
        ..CORE
    },
    Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        ..CORE
    },
    Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        ..CORE
    },
    Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        ..CORE
    },
    Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        ..CORE
    },
    Kind {
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[STATUS],
        ..CORE
    },
    Kind {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        ..CORE
    },
    Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        ..CORE
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_unique() {
        for (index, row) in KINDS.iter().enumerate() {
            for other in &KINDS[index + 1..] {
                assert_ne!(
                    (row.group, row.version, row.kind),
                    (other.group, other.version, other.kind)
                );
                assert_ne!(
                    (row.group, row.version, row.plural),
                    (other.group, other.version, other.plural)
                );
            }
        }
    }

    #[test]
    fn kinds_are_found_both_ways() {
        let lease = at("coordination.k8s.io", "v1", "leases").expect("leases are served");
        assert_eq!(lease.resource(), "leases.coordination.k8s.io");
        assert_eq!(of("coordination.k8s.io", "v1", "Lease"), Some(lease));
        assert_eq!(lease.api_version(), "coordination.k8s.io/v1");
    }
}
