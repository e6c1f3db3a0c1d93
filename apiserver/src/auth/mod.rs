//! Who is asking, and whether they may.

mod authenticate;
mod authorize;

pub(crate) use authenticate::user_of;
pub(crate) use authorize::{Request, authorize};

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// `minik-admin`, `system:node:n1`.
    pub(crate) name: String,
    /// `system:masters`, `system:nodes`.
    pub(crate) groups: Vec<String>,
}

impl User {
    /// Whether they are in this group.
    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|name| name == group)
    }
}
