//! A user: a name, groups and what else whoever vouches for them says.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Groups that the server itself gives or knows (apiserver's `user` package and serviceaccount's).
pub(crate) mod groups {
    /// Everybody who is known at all.
    pub(crate) const AUTHENTICATED: &str = "system:authenticated";
    /// Everybody else.
    pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
    /// May everything.
    pub(crate) const MASTERS: &str = "system:masters";
    /// Kubelets.
    pub(crate) const NODES: &str = "system:nodes";
    /// Service accounts of all namespaces; with `:NAMESPACE` those of one.
    pub(crate) const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
}

/// Nobody in particular.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Who is asking (authentication/v1 UserInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// `minik-admin`, `system:node:n1`.
    pub(crate) name: String,
    /// Who exactly, where names are used again.
    pub(crate) uid: String,
    /// `system:masters`, `system:nodes`.
    pub(crate) groups: Vec<String>,
    /// What else is known: `authentication.kubernetes.io/pod-name`.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// This server, for the writes that nobody asked for.
    pub(crate) fn server() -> &'static Arc<Self> {
        static SERVER: LazyLock<Arc<User>> = LazyLock::new(|| {
            Arc::new(User {
                name: "system:apiserver".into(),
                groups: vec![groups::MASTERS.into(), groups::AUTHENTICATED.into()],
                ..User::default()
            })
        });
        &SERVER
    }

    /// Whether they are in this group.
    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|name| name == group)
    }

    /// Which node this is, if it is one.
    pub(crate) fn node(&self) -> Option<&str> {
        let name = self.name.strip_prefix("system:node:")?;
        self.is_in(groups::NODES).then_some(name)
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub(crate) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// Namespace and name of a service account's user name.
pub(crate) fn service_account(user_name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user_name.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The groups of a service account.
pub(crate) fn service_account_groups(namespace: &str) -> Vec<String> {
    let own = format!("{}:{namespace}", groups::SERVICE_ACCOUNTS);
    vec![groups::SERVICE_ACCOUNTS.into(), own]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_service_accounts_are_read_as_they_are_written() {
        let name = service_account_name("default", "web");
        assert_eq!(service_account(&name), Some(("default", "web")));
        for other in [
            "web",
            "system:serviceaccount:web",
            "system:serviceaccount::web",
            "system:serviceaccount:a:b:c",
        ] {
            assert_eq!(service_account(other), None, "{other}");
        }
    }

    #[test]
    fn a_node_needs_its_group_too() {
        let user = |group: &str| User {
            name: "system:node:n1".into(),
            groups: vec![group.into()],
            ..User::default()
        };
        assert_eq!(user("system:nodes").node(), Some("n1"));
        assert_eq!(user("people").node(), None);
    }
}
