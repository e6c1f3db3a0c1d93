//! Who is asked before something is stored (`admissionregistration.k8s.io`): rules of webhooks and policies, as objects. What
//! they do to requests stands in `crate::admission`. The sentences are those of upstream's
//! `pkg/apis/admissionregistration/validation`.

mod bindings;
mod expressions;
mod matching;
mod policies;
mod webhooks;

pub(super) use bindings::PolicyBindings;
pub(super) use policies::{MutatingPolicies, ValidatingPolicies};
pub(super) use webhooks::Webhooks;
