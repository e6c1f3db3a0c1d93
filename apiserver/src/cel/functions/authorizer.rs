//! The authorizer of admission's expressions (upstream's `kubernetes.authz` library): may whoever asks, or a service account, do
//! that?
//!
//! ```text
//! authorizer ─┬─ .path('/x') ───────────────────────┐
//!             ├─ .serviceAccount('ns', 'name') ──┐  ├─ .check('verb') ── .allowed() .reason() .errored() .error()
//!             └─ .group('apps').resource('x') ───┴──┘
//!                       .subresource() .namespace() .name() .fieldSelector() .labelSelector()
//! ```

use std::fmt::Debug;
use std::sync::Arc;

use minik_api::names;

use super::Maybe;
use crate::cel::Failure;
use crate::cel::eval::Meter;
use crate::cel::value::{Text, Value};

/// The names of its functions.
pub(super) const NAMES: &[&str] = &[
    "path",
    "group",
    "serviceAccount",
    "resource",
    "subresource",
    "namespace",
    "name",
    "fieldSelector",
    "labelSelector",
    "check",
    "allowed",
    "reason",
    "errored",
    "error",
];
/// What asking costs (upstream's estimate of an authorization check).
const CHECK_COST: u64 = 350_000;

/// Who knows who may what.
pub(crate) trait Decide: Debug + Sync {
    /// Whether whoever asks may, or this service account (namespace and name); and why, or why not.
    fn decide(&self, account: Option<(&str, &str)>, verb: &str, what: &Asked) -> (bool, String);
}

/// What a check is about.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// `/healthz`
    Path(String),
    /// Something of a kind, whether anybody serves it or not.
    Resource(ResourceAsked),
}

/// What of a kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceAsked {
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) field_selector: String,
}

/// How far a question has got.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `authorizer`
    Start,
    /// `.group('apps')`
    Group(String),
    /// `.path('/x')`, `.resource('pods')`
    Asked(Asked),
    /// `.check('get')`
    Decided(bool, String),
}

/// A question on its way.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    by: &'a dyn Decide,
    account: Option<(String, String)>,
    step: Step,
    /// What the request itself asks for: `authorizer.requestResource`.
    own: &'a ResourceAsked,
}

impl<'a> Value<'a> {
    /// The variable `authorizer`.
    pub(crate) fn authorizer(by: &'a dyn Decide, own: &'a ResourceAsked) -> Self {
        let (account, step) = (None, Step::Start);
        Self::Question(Arc::new(Question { by, account, step, own }))
    }
}

/// `authorizer.requestResource`
pub(in crate::cel) fn select<'a>(of: &Arc<Question<'a>>, field: &str) -> Result<Value<'a>, Failure> {
    match (&of.step, field) {
        (Step::Start, "requestResource") => Ok(next(of, Step::Asked(Asked::Resource(of.own.clone())))),
        _ => Err(Failure::no_overload()),
    }
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], meter: &mut Meter<'_>) -> Maybe<'a> {
    let [Value::Question(of), arguments @ ..] = values else {
        return Ok(None);
    };
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let Value::Text(text) = argument else { return Ok(None) };
        texts.push(&**text);
    }
    let made = match (&of.step, name, texts.as_slice()) {
        (Step::Start, "path", [path]) => asked(of, Asked::Path(required(path, "path")?)),
        (Step::Start, "group", [group]) => next(of, Step::Group((*group).to_owned())),
        (Step::Start, "serviceAccount", [namespace, name]) => account(of, namespace, name)?,
        (Step::Group(group), "resource", [resource]) => {
            let resource = required(resource, "resource")?;
            let group = group.clone();
            asked(
                of,
                Asked::Resource(ResourceAsked {
                    group,
                    resource,
                    ..ResourceAsked::default()
                }),
            )
        }
        (Step::Asked(Asked::Resource(resource)), _, [text]) if name != "check" => {
            match narrowed(resource, name, text) {
                Some(resource) => asked(of, Asked::Resource(resource)),
                None => return Ok(None),
            }
        }
        (Step::Asked(what), "check", [verb]) => {
            meter.spend(CHECK_COST)?;
            let account = of
                .account
                .as_ref()
                .map(|(namespace, name)| (namespace.as_str(), name.as_str()));
            let (allowed, reason) = of.by.decide(account, verb, what);
            next(of, Step::Decided(allowed, reason))
        }
        (Step::Decided(allowed, _), "allowed", []) => Value::Bool(*allowed),
        (Step::Decided(_, reason), "reason", []) => Value::Text(Text::Shared(reason.as_str().into())),
        // Looking roles up doesn't fail.
        (Step::Decided(..), "errored", []) => Value::Bool(false),
        (Step::Decided(..), "error", []) => Value::text(""),
        _ => return Ok(None),
    };
    Ok(Some(made))
}

fn narrowed(resource: &ResourceAsked, name: &str, text: &str) -> Option<ResourceAsked> {
    let mut narrowed = resource.clone();
    let field = match name {
        "subresource" => &mut narrowed.subresource,
        "namespace" => &mut narrowed.namespace,
        "name" => &mut narrowed.name,
        "fieldSelector" => &mut narrowed.field_selector,
        // Nobody here decides by labels.
        "labelSelector" => return Some(narrowed),
        _ => return None,
    };
    text.clone_into(field);
    Some(narrowed)
}

fn account<'a>(of: &Arc<Question<'a>>, namespace: &str, name: &str) -> Result<Value<'a>, Failure> {
    if let Some(why) = names::subdomain(name).into_iter().next() {
        return Err(Failure::new(format!("Invalid service account name: {why}")));
    }
    if let Some(why) = names::label(namespace).into_iter().next() {
        return Err(Failure::new(format!("Invalid service account namespace: {why}")));
    }
    let account = Some((namespace.to_owned(), name.to_owned()));
    Ok(Value::Question(Arc::new(Question {
        account,
        ..(**of).clone()
    })))
}

fn required(text: &str, what: &str) -> Result<String, Failure> {
    match text.trim().is_empty() {
        true => Err(Failure::new(format!("{what} must not be empty"))),
        false => Ok(text.to_owned()),
    }
}

fn asked<'a>(of: &Arc<Question<'a>>, what: Asked) -> Value<'a> {
    next(of, Step::Asked(what))
}

fn next<'a>(of: &Arc<Question<'a>>, step: Step) -> Value<'a> {
    Value::Question(Arc::new(Question { step, ..(**of).clone() }))
}
