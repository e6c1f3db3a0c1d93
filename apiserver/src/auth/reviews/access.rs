//! SubjectAccessReview and its relatives: may somebody do this?

use minik_api::field::{Error, Path};
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::selector::{FieldRequirement, Fields};
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{text, texts};
use crate::auth::{Asked, Authorizer, Resource, User};

/// May I?
pub(super) fn of_self(
    authorizer: &Authorizer,
    user: &User,
    kind: &'static Kind,
    review: &Object,
) -> Result<Value, Status> {
    refuse(kind, problems(review).into_iter().collect())?;
    Ok(decided(authorizer, user, review))
}

/// May they?
pub(super) fn of_other(authorizer: &Authorizer, kind: &'static Kind, review: &Object) -> Result<Value, Status> {
    refuse(kind, problems(review).into_iter().chain(nobody(review)).collect())?;
    Ok(decided(authorizer, &subject(review), review))
}

/// May they, in the namespace that the review is made in?
pub(super) fn of_other_in(
    authorizer: &Authorizer,
    kind: &'static Kind,
    namespace: &str,
    review: &mut Object,
) -> Result<Value, Status> {
    review.metadata.namespace = Some(namespace.to_owned());
    let mut errors: Vec<Error> = problems(review).into_iter().chain(nobody(review)).collect();
    let path = Path::new("spec");
    if review.at("spec.nonResourceAttributes").is_some_and(Value::is_object) {
        errors.push(Error::invalid(
            &path.child("nonResourceAttributes"),
            "",
            "disallowed on this kind of request",
        ));
    }
    let asked = text(review, "spec.resourceAttributes.namespace");
    if asked != namespace {
        let path = path.child("resourceAttributes").child("namespace");
        errors.push(Error::invalid(&path, asked, "must match metadata.namespace"));
    }
    refuse(kind, errors)?;
    Ok(decided(authorizer, &subject(review), review))
}

fn refuse(kind: &'static Kind, errors: Vec<Error>) -> Result<(), Status> {
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(kind, "", &errors)),
    }
}

fn problems(review: &Object) -> Option<Error> {
    let has = |path: &str| review.at(path).is_some_and(Value::is_object);
    let path = Path::new("spec");
    match (has("spec.resourceAttributes"), has("spec.nonResourceAttributes")) {
        (true, true) => Some(Error::invalid(
            &path.child("nonResourceAttributes"),
            "",
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => Some(Error::invalid(
            &path.child("resourceAttributes"),
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => None,
    }
}

fn nobody(review: &Object) -> Option<Error> {
    let is_somebody = !text(review, "spec.user").is_empty() || !texts(review, "spec.groups").is_empty();
    let path = Path::new("spec").child("user");
    (!is_somebody).then(|| Error::invalid(&path, "", "at least one of user or group must be specified"))
}

fn subject(review: &Object) -> User {
    let extra = review.at("spec.extra").and_then(Value::as_object).into_iter().flatten();
    let values = |value: &Value| {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    User {
        name: text(review, "spec.user").to_owned(),
        uid: text(review, "spec.uid").to_owned(),
        groups: texts(review, "spec.groups"),
        extra: extra.map(|(key, value)| (key.clone(), values(value))).collect(),
    }
}

fn decided(authorizer: &Authorizer, user: &User, review: &Object) -> Value {
    let fields = fields(review);
    let at = |name: &str| text(review, &format!("spec.resourceAttributes.{name}"));
    let asked = match review.at("spec.nonResourceAttributes") {
        Some(Value::Object(_)) => Asked::Path {
            verb: text(review, "spec.nonResourceAttributes.verb"),
            path: text(review, "spec.nonResourceAttributes.path"),
        },
        _ => Asked::Resource(Resource {
            verb: at("verb"),
            group: at("group"),
            resource: at("resource"),
            subresource: at("subresource"),
            namespace: at("namespace"),
            name: at("name"),
            fields: fields.as_ref(),
        }),
    };
    let (allowed, reason) = match authorizer.decide(user, &asked) {
        Ok(reason) => (true, reason.to_string()),
        Err(reason) => (false, reason),
    };
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    status
}

/// The field selector of a list or watch that is asked about; one that can't be read narrows nothing.
fn fields(review: &Object) -> Option<Fields> {
    let selector = review.at("spec.resourceAttributes.fieldSelector")?;
    if let Some(raw) = selector["rawSelector"].as_str() {
        return Fields::parse(raw).ok();
    }
    let listed = selector["requirements"].as_array()?.iter().filter_map(requirement);
    let texts: Vec<String> = listed.map(|one| format!("{}={}", one.path, one.value)).collect();
    Fields::parse(&texts.join(",")).ok()
}

fn requirement(value: &Value) -> Option<FieldRequirement> {
    let [only] = value["values"].as_array()?.as_slice() else {
        return None;
    };
    (value["operator"] == "In").then(|| {
        Some(FieldRequirement {
            path: value["key"].as_str()?.to_owned(),
            value: only.as_str()?.to_owned(),
            equal: true,
        })
    })?
}
