//! The table of kinds: the identity of everything the API serves.
//!
//! One row is a kind's whole presence on the wire: paths, discovery, names. Its rules (defaults, validation, columns) stand in
//! `apiserver/src/kinds/`. Adding a kind is one row in the file of its group and, if it has rules of its own, one file there.
//!
//! Groups stand in the order in which discovery lists them, which decides what a short name means when two groups have it;
//! versions of a group stand with the preferred one first; kinds by their plural.

mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
mod coordination;
mod core;
mod discovery;
mod events;
mod flowcontrol;
mod networking;
mod node;
mod policy;
mod rbac;
mod resource;
mod scheduling;
mod storage;

use std::sync::LazyLock;

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
    /// What can be done with it: `get`, `create`.
    pub verbs: &'static [&'static str],
    /// The subresources that are served.
    pub subresources: &'static [Subresource],
    /// The group and version in which the objects are kept when it isn't this one: all versions of a kind are the same objects.
    pub stored_in: Option<(&'static str, &'static str)>,
}

/// A subresource and what can be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subresource {
    /// `status`
    pub name: &'static str,
    /// The kind of its bodies when it isn't the resource's own: `Binding`.
    pub kind: Option<&'static str>,
    /// The group and version of that kind when they aren't the resource's own: `autoscaling`, `v1`.
    pub group_version: Option<(&'static str, &'static str)>,
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

    /// The kind in the version in which objects are kept: itself, mostly.
    #[must_use]
    pub fn stored(&'static self) -> &'static Kind {
        match self.stored_in {
            Some((group, version)) => of(group, version, self.kind).unwrap_or(self),
            None => self,
        }
    }

    /// Whether its objects are kept: reviews are only answered.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&"get")
    }

    /// The version in which objects are kept, as they say it: `autoscaling/v2`.
    #[must_use]
    pub fn stored_api_version(&self) -> String {
        match self.stored_in {
            Some(("", version)) => version.to_owned(),
            Some((group, version)) => format!("{group}/{version}"),
            None => self.api_version(),
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
    &KINDS
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

/// What can be done with most kinds.
pub const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

const GROUPS: &[&[Kind]] = &[
    core::KINDS,
    apiregistration::KINDS,
    apps::KINDS,
    authentication::KINDS,
    authorization::KINDS,
    events::KINDS,
    autoscaling::KINDS,
    batch::KINDS,
    certificates::KINDS,
    networking::KINDS,
    policy::KINDS,
    rbac::KINDS,
    storage::KINDS,
    admissionregistration::KINDS,
    apiextensions::KINDS,
    scheduling::KINDS,
    coordination::KINDS,
    node::KINDS,
    discovery::KINDS,
    flowcontrol::KINDS,
    resource::KINDS,
];

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| GROUPS.concat());

/// The body of `scale`: a kind that is only ever seen there.
pub static SCALE_BODY: Kind = Kind {
    group: "autoscaling",
    kind: "Scale",
    plural: "scales",
    singular: "scale",
    ..PLAIN
};

/// The body of a pod's `eviction`: the same.
pub static EVICTION_BODY: Kind = Kind {
    group: "policy",
    kind: "Eviction",
    plural: "evictions",
    singular: "eviction",
    ..PLAIN
};

/// A namespaced core kind without extras; rows change what differs.
const PLAIN: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: VERBS,
    subresources: &[],
    stored_in: None,
};

/// A cluster kind that is created to ask something and never stored.
const REVIEW: Kind = Kind {
    namespaced: false,
    verbs: &["create"],
    ..PLAIN
};

const STATUS: Subresource = Subresource {
    name: "status",
    kind: None,
    group_version: None,
    verbs: &["get", "patch", "update"],
};

const SCALE: Subresource = Subresource {
    name: "scale",
    kind: Some("Scale"),
    group_version: Some(("autoscaling", "v1")),
    verbs: &["get", "patch", "update"],
};

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
