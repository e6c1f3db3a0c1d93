//! Reviews: kinds that are only ever created, to ask something; the answer is their status, and nothing is stored.

mod access;
mod rules;
mod token;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::User;
use crate::http::{Api, Call, json as respond, object};

/// Answers a review.
pub(crate) async fn create(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let kind = call.path.kind;
    if kind.namespaced && call.path.namespace.is_none() {
        return Err(Status::no_such_method());
    }
    let (mut review, _) = object(&call, body).await?;
    review.api_version = kind.api_version();
    review.kind = kind.kind.to_owned();
    let authorizer = api.registry.authorizer();
    let status = match kind.kind {
        "SelfSubjectReview" => json!({"userInfo": user_info(&call.user)}),
        "TokenReview" => token::review(&api.authenticator, &review)?,
        "SelfSubjectRulesReview" => rules::review(authorizer, &call.user, &review)?,
        "SelfSubjectAccessReview" => access::of_self(authorizer, &call.user, kind, &review)?,
        "SubjectAccessReview" => access::of_other(authorizer, kind, &review)?,
        "LocalSubjectAccessReview" => access::of_other_in(authorizer, kind, call.namespace(), &mut review)?,
        _ => return Err(Status::no_such_path()),
    };
    review.body.insert("status".into(), status);
    Ok(respond(StatusCode::CREATED, &call.accept, &review))
}

/// authentication/v1 UserInfo.
fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

/// The text at a path of the review; empty when there is none.
fn text<'a>(review: &'a Object, path: &str) -> &'a str {
    review.at(path).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list at a path of the review.
fn texts(review: &Object, path: &str) -> Vec<String> {
    let list = review.at(path).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
