//! Roles and their bindings: who may what, as it is stored.
//!
//! ```text
//! bootstrap.rs   the roles that are there from the start -> stored -> index.rs   read once, kept up by the store's events
//! aggregate.rs   roles put together from others by label               |
//! escalation.rs  nobody grants what they haven't got  <----------------+--> Grant, or why there is none
//! ```

pub(crate) mod aggregate;
pub(crate) mod bootstrap;
mod escalation;
mod index;
mod rule;

use std::fmt;
use std::sync::Arc;

use super::User;
use super::user::{groups, service_account};

pub(crate) use escalation::check as check_escalation;
pub(crate) use index::Rbac;
pub use rule::uncovered_rules;
pub(crate) use rule::{PolicyRule, quoted};

/// The API group of roles.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Somebody that a binding is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

impl Subject {
    /// All that a user is.
    fn of(user: &User) -> Vec<Self> {
        let account = service_account(&user.name).map(|(namespace, name)| Self::ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
        let groups = user.groups.iter().cloned().map(Self::Group);
        [Self::User(user.name.clone())]
            .into_iter()
            .chain(groups)
            .chain(account)
            .collect()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "User {name:?}"),
            Self::Group(name) => write!(f, "Group {name:?}"),
            // Upstream says them the wrong way round, and clients may have learnt it.
            Self::ServiceAccount { namespace, name } => write!(f, "ServiceAccount \"{name}/{namespace}\""),
        }
    }
}

/// A role, named as bindings do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoleRef {
    /// `None`: a ClusterRole.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
}

impl RoleRef {
    fn kind(&self) -> &'static str {
        match self.namespace {
            Some(_) => "Role",
            None => "ClusterRole",
        }
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Empty for a ClusterRoleBinding.
    namespace: String,
    name: String,
    role: RoleRef,
    subjects: Vec<Subject>,
}

/// Why somebody may.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    binding: Arc<Binding>,
    /// Which of its subjects it is.
    subject: usize,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Binding {
            namespace, name, role, ..
        } = &*self.binding;
        let binding = match namespace.as_str() {
            "" => format!("ClusterRoleBinding {name:?}"),
            _ => format!("RoleBinding \"{name}/{namespace}\""),
        };
        let subject = &self.binding.subjects[self.subject];
        write!(
            f,
            "RBAC: allowed by {binding} of {} {:?} to {subject}",
            role.kind(),
            role.name
        )
    }
}

/// May everything, whatever is stored.
pub(crate) fn is_master(user: &User) -> bool {
    user.is_in(groups::MASTERS)
}
