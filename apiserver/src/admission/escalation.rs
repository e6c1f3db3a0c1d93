//! Roles and bindings grant nothing that their writer hasn't got (see `auth/rbac/escalation.rs`).

use minik_api::object::Object;
use minik_api::status::Status;

use super::{Attributes, Operation, Validate};
use crate::auth::rbac::check_escalation;

/// The plugin.
pub(super) struct Escalation;

impl Validate for Escalation {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        match (attributes.operation, object) {
            (Operation::Create | Operation::Update, Some(object)) => check_escalation(
                attributes.authorizer,
                attributes.user,
                attributes.kind,
                object,
                attributes.old,
            ),
            _ => Ok(()),
        }
    }
}
