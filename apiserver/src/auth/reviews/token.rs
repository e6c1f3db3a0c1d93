//! TokenReview: whose token is this? For servers that take our tokens and can't check them themselves.

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{text, texts, user_info};
use crate::auth::Authenticator;

pub(super) fn review(authenticator: &Authenticator, review: &Object) -> Result<Value, Status> {
    let token = text(review, "spec.token");
    if token.is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let asked = texts(review, "spec.audiences");
    let own = authenticator.tokens.audiences();
    let audiences = if asked.is_empty() { own } else { &asked };
    Ok(match authenticator.vouch(token, audiences) {
        Ok(vouched) => {
            json!({"authenticated": true, "user": user_info(&vouched.user), "audiences": vouched.audiences})
        }
        Err(why) => json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}),
    })
}
