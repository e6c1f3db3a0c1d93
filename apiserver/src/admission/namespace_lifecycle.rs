//! Objects are made only in namespaces that are there to stay, and the namespaces that everything needs stay.

use minik_api::object::Object;
use minik_api::status::{Cause, Status};

use super::{Attributes, Operation, Validate};
use crate::registry::{namespaces, resource};
use crate::storage::Key;

/// The plugin.
pub(super) struct NamespaceLifecycle;

impl Validate for NamespaceLifecycle {
    fn validate(&self, attributes: &Attributes<'_>, _object: Option<&Object>) -> Result<(), Status> {
        let Attributes {
            kind, name, namespace, ..
        } = *attributes;
        match attributes.operation {
            Operation::Delete if kind.kind == "Namespace" && namespaces::IMMORTAL.contains(&name) => {
                Err(Status::forbidden(kind, name, "this namespace may not be deleted"))
            }
            Operation::Create if kind.namespaced => {
                let namespaces = namespaces::kind();
                let key = Key::new(&resource(namespaces), "", namespace);
                let found = attributes
                    .store
                    .get(&key)
                    .ok_or_else(|| Status::not_found(namespaces, namespace))?;
                if found.object().metadata.deletion_timestamp.is_none() {
                    return Ok(());
                }
                Err(terminating(attributes))
            }
            _ => Ok(()),
        }
    }
}

fn terminating(attributes: &Attributes<'_>) -> Status {
    let Attributes {
        kind, name, namespace, ..
    } = *attributes;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(kind, name, &why);
    status.details.get_or_insert_default().causes.push(Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".into(),
    });
    status
}
