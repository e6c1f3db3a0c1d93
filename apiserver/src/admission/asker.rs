//! The authorizer of expressions, for one request: it decides for whoever makes it, and for service accounts.

use std::fmt;

use minik_api::selector::Fields;

use super::Attributes;

use crate::auth::{self, Resource, User, groups, service_account_groups, service_account_name};
use crate::cel::{Asked, Decide, ResourceAsked};

/// Of one request.
pub(super) struct Asker<'a> {
    attributes: &'a Attributes<'a>,
    /// What the request asks for.
    pub(super) own: ResourceAsked,
}

impl<'a> Asker<'a> {
    pub(super) fn new(attributes: &'a Attributes<'a>) -> Self {
        let own = ResourceAsked {
            group: attributes.kind.group.to_owned(),
            resource: attributes.kind.plural.to_owned(),
            subresource: attributes.subresource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
            field_selector: String::new(),
        };
        Self { attributes, own }
    }
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl Decide for Asker<'_> {
    fn decide(&self, account: Option<(&str, &str)>, verb: &str, what: &Asked) -> (bool, String) {
        let account = account.map(|(namespace, name)| {
            let mut all = service_account_groups(namespace);
            all.push(groups::AUTHENTICATED.into());
            User {
                name: service_account_name(namespace, name),
                groups: all,
                ..User::default()
            }
        });
        let user = account.as_ref().unwrap_or(self.attributes.user);
        let fields;
        let asked = match what {
            Asked::Path(path) => auth::Asked::Path { verb, path },
            Asked::Resource(asked) => {
                // As upstream: a selector that can't be read narrows nothing.
                fields = Fields::parse(&asked.field_selector)
                    .ok()
                    .filter(|fields| !fields.is_empty());
                auth::Asked::Resource(Resource {
                    verb,
                    group: &asked.group,
                    resource: &asked.resource,
                    subresource: &asked.subresource,
                    namespace: &asked.namespace,
                    name: &asked.name,
                    fields: fields.as_ref(),
                })
            }
        };
        match self.attributes.authorizer.decide(user, &asked) {
            Ok(reason) => (true, reason.to_string()),
            Err(why) => (false, why),
        }
    }
}
