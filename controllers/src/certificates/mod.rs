//! Requests for certificates (`certificates.k8s.io`): signed once somebody has approved them, and taken away when nobody needs
//! them any more. Approving is for people.
//!
//! ```text
//!   created ──> kubectl certificate approve ──> decide ──> sign ──> status.certificate ──> an hour later: deleted
//!                                                 └──> status.conditions: Failed, by the signer's rules
//! ```
//! [`decide`] and [`rules`] are pure; `sign` is as well, but for the serial number.

mod der;
mod rules;
mod sign;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub use sign::AuthorityError;
pub(crate) use sign::{Authority, SignError};

/// Shorter than this none is signed, as upstream.
const LIFETIME_MIN: SignedDuration = SignedDuration::from_mins(10);
/// How long a request is kept that was answered, and one that waits for an answer.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);
const PENDING: SignedDuration = SignedDuration::from_hours(24);

/// What to do about a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing before this time, when it will be out of date.
    Keep(Timestamp),
    /// It is out of date.
    Delete,
    /// A certificate that is good for this long.
    Sign(SignedDuration),
    /// It can't be signed as it is.
    Fail(String),
}

/// Pure: by the request as it is stored. `longest` is how long a certificate is good for at most.
pub(crate) fn decide(request: &Value, longest: Option<SignedDuration>, now: Timestamp) -> Verdict {
    let outdated = outdated_at(request, now);
    if outdated <= now {
        return Verdict::Delete;
    }
    let Some(longest) = longest.filter(|_| waits_for_signer(request)) else {
        return Verdict::Keep(outdated);
    };
    match rules::check(request) {
        None => Verdict::Keep(outdated),
        Some(Err(why)) => Verdict::Fail(why),
        Some(Ok(())) => {
            let asked = request["spec"]["expirationSeconds"]
                .as_i64()
                .map(SignedDuration::from_secs);
            Verdict::Sign(asked.map_or(longest, |asked| asked.max(LIFETIME_MIN).min(longest)))
        }
    }
}

/// The request after it was signed.
pub(crate) fn signed(mut request: Value, certificate: &str) -> Value {
    use base64::Engine;
    request["status"]["certificate"] = base64::prelude::BASE64_STANDARD.encode(certificate).into();
    request
}

/// The request after it was found that it can't be.
pub(crate) fn failed(mut request: Value, why: &str) -> Value {
    let condition = json!({"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why});
    match &mut request["status"]["conditions"] {
        Value::Array(conditions) => conditions.push(condition),
        other => *other = json!([condition]),
    }
    request
}

fn waits_for_signer(request: &Value) -> bool {
    condition(request, "Approved").is_some()
        && condition(request, "Denied").is_none()
        && condition(request, "Failed").is_none()
        && !is_issued(request)
}

fn is_issued(request: &Value) -> bool {
    request["status"]["certificate"]
        .as_str()
        .is_some_and(|text| !text.is_empty())
}

fn condition<'a>(request: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = request["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == name && condition["status"] == "True")
}

/// When nobody will need the request any more (upstream's `csrcleaner`).
fn outdated_at(request: &Value, now: Timestamp) -> Timestamp {
    let since = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let after = |since: Option<Timestamp>, kept: SignedDuration| {
        let since = since.unwrap_or(now);
        since.checked_add(kept).unwrap_or(Timestamp::MAX)
    };
    let answers: &[&str] = match is_issued(request) {
        true => &["Approved", "Denied", "Failed"],
        false => &["Denied", "Failed"],
    };
    let answered = answers.iter().find_map(|name| condition(request, name));
    match answered {
        Some(answer) => after(since(&answer["lastUpdateTime"]), ANSWERED),
        None => after(since(&request["metadata"]["creationTimestamp"]), PENDING),
    }
}
