//! Requests for certificates (`certificates.k8s.io`): what may be asked for, who may say yes, and that neither is taken back.
//! The controllers sign. The sentences are those of upstream's `pkg/apis/certificates/validation`.
//!
//! ```text
//! create          the request, as it stays
//! approval        conditions Approved or Denied, by who approves
//! status          the certificate, condition Failed, by the signer
//! ```

mod pem;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::{AGE, Column, NAME, NameRule, Rules, age, checks, duration, keep, read};

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that are true or not there.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];
const SECONDS_MIN: i64 = 600;

pub(super) struct SigningRequests;

impl Rules for SigningRequests {
    fn name_rule(&self) -> NameRule {
        |_| Vec::new()
    }

    /// Requests don't change.
    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "spec");
        keep(new, old, "status");
    }

    fn prepare_part_update(&self, _part: &str, new: &mut Object, old: &Object) {
        let decided = new.at("status.conditions").cloned();
        keep(new, old, "spec");
        keep(new, old, "status");
        let status = new.body.entry("status").or_insert_with(|| json!({}));
        if let (Some(status), Some(decided)) = (status.as_object_mut(), decided) {
            status.insert("conditions".to_owned(), decided);
        }
    }

    fn stamp(&self, new: &mut Object, old: &Object, now: Timestamp) {
        let before = read::list(old.at("status.conditions"));
        let Some(Value::Array(conditions)) = new
            .body
            .get_mut("status")
            .and_then(|status| status.get_mut("conditions"))
        else {
            return;
        };
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        for condition in conditions {
            let same = before
                .iter()
                .find(|before| ["type", "status"].iter().all(|part| before[part] == condition[part]));
            let since = same.and_then(|before| before.get("lastTransitionTime")).cloned();
            let Some(fields) = condition.as_object_mut() else {
                continue;
            };
            for (field, time) in [
                ("lastUpdateTime", Value::from(now.as_str())),
                ("lastTransitionTime", since.unwrap_or_else(|| now.as_str().into())),
            ] {
                if read::is_empty(fields.get(field)) {
                    fields.insert(field.to_owned(), time);
                }
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let request = read::text(object.at("spec.request"));
        if let Err(why) = pem::check_request(request) {
            errors.push(Error::invalid(&path.child("request"), request, why));
        }
        check_usages(
            &read::texts(object.at("spec.usages")),
            &path.child("usages"),
            &mut errors,
        );
        check_signer(
            read::text(object.at("spec.signerName")),
            &path.child("signerName"),
            &mut errors,
        );
        let seconds = object.at("spec.expirationSeconds").and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|&seconds| seconds < SECONDS_MIN) {
            let detail = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
        }
        errors
    }

    /// The spec is as it was; only metadata can have changed.
    fn validate_update(&self, _new: &Object, _old: &Object) -> Vec<Error> {
        Vec::new()
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = check_conditions(new, old);
        let path = Path::new("status").child("conditions");
        for decision in ["Approved", "Denied"] {
            let (before, after) = (conditions(old, decision), conditions(new, decision));
            if after.len() > before.len() {
                let detail = format!("updates may not add a condition of type {decision:?}");
                errors.push(Error::forbidden(&path, detail));
            } else if after.len() == before.len() && after != before {
                let detail = format!("updates may not modify a condition of type {decision:?}");
                errors.push(Error::forbidden(&path, detail));
            }
        }
        let certificate = |object: &Object| read::text(object.at("status.certificate")).to_owned();
        let (before, after) = (certificate(old), certificate(new));
        if after == before {
            return errors;
        }
        let path = Path::new("status").child("certificate");
        if !before.is_empty() {
            let detail = "updates may not modify existing certificate content";
            errors.push(Error::forbidden(&path, detail));
        }
        if let Err(why) = pem::check_certificates(&after) {
            errors.push(Error::invalid(&path, "<certificate data>", why));
        }
        errors
    }

    fn validate_part_update(&self, _part: &str, new: &Object, old: &Object) -> Vec<Error> {
        check_conditions(new, old)
    }

    fn fields(&self) -> &'static [&'static str] {
        &["spec.signerName"]
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            AGE,
            Column::text("SignerName", "Who is to sign."),
            Column::text("Requestor", "Who asks."),
            Column::text("RequestedDuration", "For how long."),
            Column::text("Condition", "What has been decided."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let seconds = object.at("spec.expirationSeconds").and_then(Value::as_i64);
        vec![
            object.name().into(),
            age(object, now).into(),
            read::text(object.at("spec.signerName")).into(),
            read::text(object.at("spec.username")).into(),
            seconds.map_or("<none>".to_owned(), duration::human).into(),
            decision(object).into(),
        ]
    }
}

/// `Approved,Issued`
fn decision(object: &Object) -> String {
    let mut words: Vec<&str> = DECISIONS
        .into_iter()
        .filter(|decision| !conditions(object, decision).is_empty())
        .collect();
    if words.contains(&"Denied") {
        words.retain(|word| *word != "Approved");
    }
    if !words.contains(&"Approved") && !words.contains(&"Denied") {
        words.insert(0, "Pending");
    }
    if !read::is_empty(object.at("status.certificate")) {
        words.push("Issued");
    }
    words.join(",")
}

fn conditions<'a>(object: &'a Object, name: &str) -> Vec<&'a Value> {
    let all = read::list(object.at("status.conditions")).iter();
    all.filter(|condition| condition["type"] == name).collect()
}

/// What holds for conditions whoever writes them.
fn check_conditions(new: &Object, old: &Object) -> Vec<Error> {
    let path = Path::new("status").child("conditions");
    let (mut errors, mut known) = (Vec::new(), Vec::new());
    for (index, condition) in read::list(new.at("status.conditions")).iter().enumerate() {
        let path = path.index(index);
        let kind = read::text(condition.get("type"));
        checks::required(kind, &path.child("type"), &mut errors);
        let allowed: &[&str] = if DECISIONS.contains(&kind) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        let status = condition.get("status").and_then(Value::as_str);
        checks::one_of(status, allowed, &path.child("status"), &mut errors);
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && known.contains(&other) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(&path.child("type"), kind, detail));
        }
        if known.contains(&kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        known.push(kind);
    }
    for decision in DECISIONS {
        if conditions(new, decision).len() < conditions(old, decision).len() {
            let detail = format!("updates may not remove a condition of type {decision:?}");
            errors.push(Error::forbidden(&path, detail));
        }
    }
    errors
}

fn check_usages(usages: &[&str], path: &Path, errors: &mut Vec<Error>) {
    if usages.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        if !USAGES.contains(usage) {
            errors.push(Error::not_supported(&path.index(index), *usage, USAGES));
        }
        if usages[..index].contains(usage) {
            errors.push(Error::duplicate(&path.index(index), *usage));
        }
    }
}

/// `example.com/signer-name`
fn check_signer(signer: &str, path: &Path, errors: &mut Vec<Error>) {
    if signer == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(Error::invalid(path, signer, detail));
        return;
    }
    checks::required(signer, path, errors);
    let Some((domain, name)) = signer.split_once('/').filter(|(_, name)| !name.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(path, signer, detail));
        return;
    };
    for label in domain.split('.') {
        for rule in names::label(label) {
            errors.push(Error::invalid(
                path,
                domain,
                format!("validating label {label:?}: {rule}"),
            ));
        }
    }
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(Error::invalid(path, domain, detail));
    }
    for label in name.split('.') {
        for rule in names::subdomain(label) {
            errors.push(Error::invalid(
                path,
                name,
                format!("validating label {label:?}: {rule}"),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
