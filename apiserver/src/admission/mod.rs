//! Admission: what happens to an object between its decoding and its validation, and who may still say no.
//!
//! ```text
//! prepare -> plugins mutate -> webhooks mutate -> defaults -> validate (kinds/)
//!         -> plugins validate -> policies -> webhooks validate -> quotas (registry/charge.rs) -> store
//! ```
//! Who mutates can't refuse for another's sake and who validates can't change anything. One file per plugin. Plugins know only
//! what is stored; webhooks are waited for, so they are asked while nothing is held.

mod asker;
mod conditions;
mod default_class;
mod default_tolerations;
mod escalation;
mod expressions;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod pod_resources;
mod pod_security;
mod policies;
mod priority;
pub(crate) mod quota;
mod runtime_class;
mod service_account;
mod signing_request;
mod trace;
mod warnings;
mod webhooks;

use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use minik_api::trace::Traceparent;

use crate::auth::{Authorizer, User};
use crate::kinds::Rules;
use crate::storage::{Key, Store};

pub(crate) use expressions::Expressions;
pub(crate) use warnings::Warnings;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An object comes into being.
    Create,
    /// An object is changed.
    Update,
    /// An object is to go.
    Delete,
    /// Somebody connects to what an object stands for: `exec`, `proxy`.
    Connect,
}

/// What a plugin may know of a request besides the object.
pub(crate) struct Attributes<'a> {
    /// What is being done.
    pub(crate) operation: Operation,
    /// To which kind.
    pub(crate) kind: &'static Kind,
    /// In which namespace; empty for cluster kinds.
    pub(crate) namespace: &'a str,
    /// To which object.
    pub(crate) name: &'a str,
    /// Through which of its subresources; empty: the object itself, or one whose own rules have decided.
    pub(crate) subresource: &'a str,
    /// What the body is, where it isn't of the kind: `PodExecOptions`.
    pub(crate) body_kind: Option<&'static str>,
    /// What is stored, when it is changed.
    pub(crate) old: Option<&'a Object>,
    /// By whom.
    pub(crate) user: &'a User,
    /// Who decides who may what.
    pub(crate) authorizer: &'a Authorizer,
    /// What else is stored.
    pub(crate) store: &'a Store,
    /// What is kept ready of it.
    pub(crate) expressions: &'a Expressions,
    /// The request's place in its trace.
    pub(crate) traceparent: Traceparent,
    /// Nothing will be stored.
    pub(crate) dry_run: bool,
    /// What is to be told besides the answer, if anybody listens.
    pub(crate) warnings: Option<&'a Warnings>,
}

impl Attributes<'_> {
    /// Whether it is about this kind, in any version.
    fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.kind == kind && self.kind.group == group
    }

    /// Tells whoever asks.
    fn warn(&self, text: String) {
        if let Some(warnings) = self.warnings {
            warnings.add(text);
        }
    }

    /// Everything that is stored of a resource (`storageclasses.storage.k8s.io`) in a namespace.
    fn objects(&self, resource: &str, namespace: &str) -> Vec<Object> {
        let snapshot = self.store.snapshot(resource);
        let all = snapshot.objects(resource, namespace, None);
        all.map(|stored| stored.object()).collect()
    }

    /// One object that is stored.
    fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        let stored = self.store.get(&Key::new(resource, namespace, name))?;
        Some(stored.object())
    }
}

/// Changes objects on their way in.
trait Mutate: Send + Sync {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object);
}

/// Refuses requests.
trait Validate: Send + Sync {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status>;
}

/// In upstream's order.
const MUTATING: &[&dyn Mutate] = &[
    &limit_ranger::LimitRanger,
    &service_account::ServiceAccount,
    &priority::Priority,
    &default_tolerations::DefaultTolerations,
    &default_class::DefaultClass,
    &runtime_class::RuntimeClass,
    &signing_request::SigningRequest,
    &trace::Trace,
];
/// In upstream's order.
const VALIDATING: &[&dyn Validate] = &[
    &namespace_lifecycle::NamespaceLifecycle,
    &limit_ranger::LimitRanger,
    &service_account::ServiceAccount,
    &node_restriction::NodeRestriction,
    &pod_security::PodSecurity,
    &priority::Priority,
    &runtime_class::RuntimeClass,
    &escalation::Escalation,
    &signing_request::SigningRequest,
];

/// Lets every plugin, and then every webhook, change the object.
pub(crate) async fn mutate(attributes: &Attributes<'_>, rules: &dyn Rules, object: &mut Object) -> Result<(), Status> {
    for plugin in MUTATING {
        plugin.mutate(attributes, object);
    }
    webhooks::mutate(attributes, rules, MUTATING, object).await
}

/// Asks every plugin, and then everybody else who was named for it, whether the request may go on.
pub(crate) async fn validate(attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    for plugin in VALIDATING {
        plugin.validate(attributes, object)?;
    }
    policies::validate(attributes, object)?;
    webhooks::validate(attributes, object).await
}

/// Asks whether somebody may connect to what an object stands for; `options` are what they ask for. Nothing is stored, so only
/// those are asked who were named for it. What a webhook would change about the options isn't changed.
pub(crate) async fn connect(attributes: &Attributes<'_>, options: &Object) -> Result<(), Status> {
    policies::validate(attributes, Some(options))?;
    webhooks::connect(attributes, options).await
}
