//! `Status`: the one answer of the API to everything that didn't work, and its constructors.
//!
//! Codes, reasons and sentences are those of apimachinery's `api/errors`; clients decide on `reason` and `details`, people
//! read `message`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field;
use crate::kinds::Kind;

/// A `v1/Status` that says failure (or, rarely, success).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `Success` or `Failure`.
    pub status: String,
    /// For people: what failed, on which thing, why, and what to do.
    #[serde(default)]
    pub message: String,
    /// For programs: `NotFound`, `Conflict`, … (metav1.StatusReason).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the failure is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// The HTTP status code.
    pub code: u16,
    /// A token with which a list can go on nevertheless (`metadata.continue`); empty for none.
    #[serde(skip)]
    pub continue_token: String,
}

/// What a [`Status`] is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The kind's group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource (`pods`), or for invalid objects the kind (`Pod`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Each thing that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, in seconds; also sent as the `Retry-After` header.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// metav1.CauseType: `FieldValueRequired`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field's path, without the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Status {
    /// Any failure without details.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
            continue_token: String::new(),
        }
    }

    /// The same, saying which object of which kind it is about.
    #[must_use]
    pub fn about(mut self, kind: &Kind, name: &str) -> Self {
        let details = self.details.get_or_insert_default();
        details.name = name.into();
        details.group = kind.group.into();
        details.kind = kind.plural.into();
        self
    }

    /// 400: the request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// 401: no credentials, or none that are known.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 403: known, but not allowed. `why` completes `pods "x" is forbidden: …`.
    #[must_use]
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let what = if name.is_empty() {
            kind.resource()
        } else {
            format!("{} \"{name}\"", kind.resource())
        };
        Self::failure(403, "Forbidden", format!("{what} is forbidden: {why}")).about(kind, name)
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::failure(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind, name)
    }

    /// 404 for a path that nothing is served at.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::failure(404, "NotFound", "the server could not find the requested resource").of_the_router()
    }

    /// 405: the resource is there but doesn't do this.
    #[must_use]
    pub fn method_not_allowed(action: &str, resource: &str) -> Self {
        Self::failure(
            405,
            "MethodNotAllowed",
            format!("{action} is not supported on resources of kind \"{resource}\""),
        )
    }

    /// 405: nothing does this at that path.
    #[must_use]
    pub fn no_such_method() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(405, "MethodNotAllowed", message).of_the_router()
    }

    /// What upstream's router says has details, with nothing in them.
    fn of_the_router(mut self) -> Self {
        self.details = Some(Box::default());
        self
    }

    /// 406: none of the accepted media types is served here.
    #[must_use]
    pub fn not_acceptable(served: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", served.join(", "));
        Self::failure(406, "NotAcceptable", message)
    }

    /// 409: an object of this name is there already.
    #[must_use]
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::failure(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", kind.resource()),
        )
        .about(kind, name)
    }

    /// 409: somebody else changed the object; `why` says what to do.
    #[must_use]
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::failure(409, "Conflict", message).about(kind, name)
    }

    /// 410: the revision asked for is no longer kept; list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    /// 413: the body is larger than `limit_bytes`.
    #[must_use]
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    /// 415: the body's media type isn't read here.
    #[must_use]
    pub fn unsupported_media_type(read: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            read.join(", ")
        );
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 422: the object breaks rules; all of `errors` are told.
    #[must_use]
    pub fn invalid(kind: &Kind, name: &str, errors: &[field::Error]) -> Self {
        Self::invalid_named(kind.group, kind.kind, name, errors)
    }

    /// The same by the name of the resource.
    #[must_use]
    pub fn invalid_resource(kind: &Kind, name: &str, errors: &[field::Error]) -> Self {
        Self::invalid_named(kind.group, kind.plural, name, errors)
    }

    /// The same for the options of a request (`PatchOptions`), which are of no kind that is served.
    #[must_use]
    pub fn invalid_options(options: &str, errors: &[field::Error]) -> Self {
        Self::invalid_named("meta.k8s.io", options, "", errors)
    }

    /// The same for what a patch makes of an object, which upstream says of no kind.
    #[must_use]
    pub fn invalid_patch(error: &field::Error) -> Self {
        Self::invalid_named("", "", "", std::slice::from_ref(error))
    }

    fn invalid_named(group: &str, kind: &str, name: &str, errors: &[field::Error]) -> Self {
        let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let listed = match sentences.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let what = match group {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.problem.reason().into(),
                message: error.body(),
                field: error.path.to_string(),
            })
            .collect();
        let mut status = Self::failure(422, "Invalid", format!("{what} \"{name}\" is invalid: {listed}"));
        status.details = Some(Box::new(Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes,
            ..Details::default()
        }));
        status
    }

    /// 429: too much at once; try again after `seconds`.
    pub fn too_many_requests(message: impl Into<String>, seconds: u32) -> Self {
        Self::failure(429, "TooManyRequests", message).retry_after(seconds)
    }

    /// 500: our fault.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message).retry_after(1)
    }

    /// 504: it took too long; the write may or may not have happened.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::failure(504, "Timeout", format!("Timeout: {}", message.into()))
    }

    /// Success, with what it was about (the answer to some deletes).
    #[must_use]
    pub fn success() -> Self {
        Self {
            status: "Success".into(),
            message: String::new(),
            reason: String::new(),
            details: None,
            code: 200,
            continue_token: String::new(),
        }
    }

    /// The same, to be tried again after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// The body as it goes over the wire, `kind` and `apiVersion` included.
    ///
    /// # Panics
    /// Never: all of it is strings and numbers.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("a Status is strings and numbers");
        value["kind"] = "Status".into();
        value["apiVersion"] = "v1".into();
        value["metadata"] = match self.continue_token.as_str() {
            "" => serde_json::json!({}),
            token => serde_json::json!({"continue": token}),
        };
        value
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Error, Path};

    #[test]
    fn invalid_lists_every_cause() {
        let errors = [
            Error::required(&Path::new("spec").child("containers").index(0).child("image"), ""),
            Error::forbidden(&Path::new("spec").child("nodeName"), "may not be changed"),
        ];
        let status = Status::invalid(
            crate::kinds::of("", "v1", "Pod").expect("pods are served"),
            "x",
            &errors,
        );
        assert_eq!(
            status.message,
            "Pod \"x\" is invalid: [spec.containers[0].image: Required value, spec.nodeName: Forbidden: may not be changed]"
        );
        let causes = status.details.expect("causes are told").causes;
        assert_eq!(causes[0].field, "spec.containers[0].image");
        assert_eq!(causes[0].message, "Required value");
        assert_eq!(causes[0].reason, "FieldValueRequired");
    }

    #[test]
    fn wire_form_names_its_kind() {
        let value = Status::not_found(crate::kinds::of("", "v1", "Pod").expect("pods are served"), "x").to_value();
        assert_eq!(value["kind"], "Status");
        assert_eq!(value["message"], "pods \"x\" not found");
        assert_eq!(value["details"]["kind"], "pods");
    }
}
