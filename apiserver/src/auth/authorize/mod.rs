//! Whether a user may: members of `system:masters` always, nodes what is theirs, everybody what roles grant.
//!
//! One yes is enough, and nothing says no for good, as with upstream's `--authorization-mode=Node,RBAC`.

pub(crate) mod node;

use std::fmt;

use minik_api::selector::Fields;
use minik_api::status::{Details, Status};

use super::User;
use super::rbac::{Grant, Rbac, is_master};
use crate::storage::Store;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked<'a> {
    /// Something of the API's kinds.
    Resource(Resource<'a>),
    /// Anything else that is served: `/openapi/v3`.
    Path {
        /// `get`: the method in lower case.
        verb: &'a str,
        /// `/healthz`
        path: &'a str,
    },
}

/// What is asked for of a resource. Not of a kind: a review may ask about what nobody serves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resource<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or any other word.
    pub(crate) verb: &'a str,
    /// `""`, `apps`.
    pub(crate) group: &'a str,
    /// `pods`
    pub(crate) resource: &'a str,
    /// `status`, or empty.
    pub(crate) subresource: &'a str,
    /// Empty: all, or none.
    pub(crate) namespace: &'a str,
    /// Empty: the collection.
    pub(crate) name: &'a str,
    /// What a list or watch is narrowed to.
    pub(crate) fields: Option<&'a Fields>,
}

/// Why somebody may.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// They may everything.
    Master,
    /// It is about their own node.
    Node,
    /// A role says so.
    Role(Grant),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master | Self::Node => Ok(()),
            Self::Role(grant) => grant.fmt(f),
        }
    }
}

/// All who decide.
pub(crate) struct Authorizer {
    store: Store,
    rbac: Rbac,
}

impl Authorizer {
    /// On what is stored.
    pub(crate) fn new(store: Store) -> Self {
        let rbac = Rbac::new(store.clone());
        Self { store, rbac }
    }

    /// The roles.
    pub(crate) fn rbac(&self) -> &Rbac {
        &self.rbac
    }

    /// Why the user may; or why not, in upstream's words, which may be none.
    pub(crate) fn decide(&self, user: &User, asked: &Asked<'_>) -> Result<Reason, String> {
        if is_master(user) {
            return Ok(Reason::Master);
        }
        let mut why = Vec::new();
        if let Some(node) = user.node() {
            match node::decide(&self.store, node, asked) {
                Ok(()) => return Ok(Reason::Node),
                Err(reason) => why.extend(reason),
            }
        }
        let namespace = match asked {
            Asked::Resource(resource) => resource.namespace,
            Asked::Path { .. } => "",
        };
        match self.rbac.decide(user, namespace, asked) {
            Ok(grant) => Ok(Reason::Role(grant)),
            Err(missing) => {
                let listed = match missing.as_slice() {
                    [] => None,
                    [one] => Some(format!("RBAC: {one}")),
                    many => Some(format!("RBAC: [{}]", many.join(", "))),
                };
                why.extend(listed);
                Err(why.join("\n"))
            }
        }
    }

    /// Lets the request go on, or answers 403.
    pub(crate) fn authorize(&self, user: &User, asked: &Asked<'_>) -> Result<(), Status> {
        match self.decide(user, asked) {
            Ok(_) => Ok(()),
            Err(why) => Err(forbidden(user, asked, &why)),
        }
    }

    /// Whether the user may, for rules that ask by themselves.
    pub(crate) fn allows(&self, user: &User, resource: Resource<'_>) -> bool {
        self.decide(user, &Asked::Resource(resource)).is_ok()
    }
}

fn forbidden(user: &User, asked: &Asked<'_>, why: &str) -> Status {
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    };
    let resource = match asked {
        Asked::Path { verb, path } => {
            let message = format!("forbidden: User {:?} cannot {verb} path {path:?}{why}", user.name);
            let mut status = Status::failure(403, "Forbidden", message);
            status.details = Some(Box::default());
            return status;
        }
        Asked::Resource(resource) => resource,
    };
    let Resource {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        ..
    } = *resource;
    let named = match group {
        "" => resource.to_owned(),
        _ => format!("{resource}.{group}"),
    };
    let what = match name {
        "" => named,
        _ => format!("{named} {name:?}"),
    };
    let full = match subresource {
        "" => resource.to_owned(),
        _ => format!("{resource}/{subresource}"),
    };
    let scope = match namespace {
        "" => "at the cluster scope".to_owned(),
        _ => format!("in the namespace {namespace:?}"),
    };
    let message = format!(
        "{what} is forbidden: User {:?} cannot {verb} resource {full:?} in API group {group:?} {scope}{why}",
        user.name
    );
    let mut status = Status::failure(403, "Forbidden", message);
    status.details = Some(Box::new(Details {
        name: name.into(),
        group: group.into(),
        kind: resource.into(),
        ..Details::default()
    }));
    status
}

#[cfg(test)]
mod tests;
