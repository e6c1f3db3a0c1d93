//! The question that is sent to a webhook and what its answer means (`admission.k8s.io/v1`, `AdmissionReview`). Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::admission::{Attributes, Operation};
use crate::kinds::read;

/// What a webhook has to say.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// It refuses.
    pub(super) refusal: Option<Status>,
    /// A JSON patch.
    pub(super) patch: Option<Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

/// What conditions and webhooks see of a request.
pub(in crate::admission) fn request(attributes: &Attributes<'_>, object: Option<&Object>, uid: &str) -> Value {
    let kind = attributes.kind.stored();
    let (group, version) = (kind.group, kind.version);
    let resource = json!({"group": group, "version": version, "resource": kind.plural});
    let kind = match attributes.body_kind {
        Some(kind) => json!({"group": "", "version": "v1", "kind": kind}),
        None => json!({"group": group, "version": version, "kind": kind.kind}),
    };
    let user = attributes.user;
    let options = match attributes.operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => "",
    };
    let options = match options {
        "" => Value::Null,
        kind => json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"}),
    };
    let mut request = json!({
        "uid": uid, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": attributes.name, "operation": attributes.operation.name(),
        "userInfo": {"username": user.name, "groups": user.groups},
        "object": object.map(Object::to_value), "oldObject": attributes.old.map(Object::to_value),
        "dryRun": attributes.dry_run, "options": options,
    });
    if !user.uid.is_empty() {
        request["userInfo"]["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        request["userInfo"]["extra"] = json!(user.extra);
    }
    if attributes.kind.namespaced {
        request["namespace"] = json!(attributes.namespace);
    }
    if !attributes.subresource.is_empty() {
        request["subResource"] = json!(attributes.subresource);
        request["requestSubResource"] = json!(attributes.subresource);
    }
    request
}

/// The whole question, in a version that the webhook knows.
pub(super) fn question(hook: &Value, request: Value) -> Value {
    let known = read::texts(hook.get("admissionReviewVersions"));
    let version = known.iter().find(|version| ["v1", "v1beta1"].contains(version));
    let version = version.map_or("v1", |version| *version);
    json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request})
}

/// Reads the answer to a question.
///
/// # Errors
/// What is wrong with it.
pub(super) fn answer(name: &str, question: &Value, review: &Value) -> Result<Answer, String> {
    for field in ["kind", "apiVersion"] {
        if review[field] != question[field] {
            return Err(format!(
                "expected response.{field}={}, got {}",
                question[field], review[field]
            ));
        }
    }
    let response = review
        .get("response")
        .filter(|response| response.is_object())
        .ok_or("webhook response was absent")?;
    let is_v1 = review["apiVersion"] == "admission.k8s.io/v1";
    if is_v1 && response["uid"] != question["request"]["uid"] {
        let wanted = &question["request"]["uid"];
        return Err(format!("expected response.uid={wanted}, got {}", response["uid"]));
    }
    let patch = match read::text(response.get("patch")) {
        "" => None,
        _ if is_v1 && response["patchType"] != "JSONPatch" => {
            return Err(format!(
                "webhook returned response.patch but not response.patchType \"JSONPatch\": {}",
                response["patchType"]
            ));
        }
        text => Some(
            BASE64_STANDARD
                .decode(text)
                .map_err(|error| format!("response.patch: {error}"))?,
        ),
    };
    let warnings = read::texts(response.get("warnings"));
    Ok(Answer {
        refusal: (response["allowed"] != true).then(|| refusal(name, &response["status"])),
        patch,
        warnings: warnings.into_iter().map(str::to_owned).collect(),
    })
}

/// In the webhook's words, and never as a success.
fn refusal(name: &str, said: &Value) -> Status {
    let denied = format!("admission webhook {name:?} denied the request");
    let (message, reason) = (read::text(said.get("message")), read::text(said.get("reason")));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = said["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
    Status::failure(code, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_to_the_question() {
        let asked = question(&json!({"admissionReviewVersions": ["v2", "v1"]}), json!({"uid": "u"}));
        let said = |response: Value| {
            answer(
                "h.example.com",
                &asked,
                &json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}),
            )
        };
        let patch = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "W10=", "warnings": ["w"]});
        let good = said(patch).expect("an answer");
        assert_eq!(
            (good.refusal, good.patch, good.warnings),
            (None, Some(b"[]".to_vec()), vec!["w".to_owned()])
        );
        for (response, message, code) in [
            (json!({"uid": "u"}), "denied the request without explanation", 400),
            (
                json!({"uid": "u", "allowed": false, "status": {"reason": "r"}}),
                "denied the request: r",
                400,
            ),
            (
                json!({"uid": "u", "allowed": false, "status": {"message": "no", "code": 403, "reason": "Forbidden"}}),
                "denied the request: no",
                403,
            ),
        ] {
            let refusal = said(response).expect("an answer").refusal.expect("a refusal");
            assert_eq!(
                (refusal.message, refusal.code),
                (format!("admission webhook \"h.example.com\" {message}"), code)
            );
        }
        for response in [
            json!(null),
            json!({"uid": "other", "allowed": true}),
            json!({"uid": "u", "allowed": true, "patch": "W10="}),
            json!({"uid": "u", "allowed": true, "patch": "?", "patchType": "JSONPatch"}),
        ] {
            assert!(said(response.clone()).is_err(), "{response}");
        }
    }
}
