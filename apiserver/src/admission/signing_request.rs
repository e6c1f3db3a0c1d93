//! Requests for certificates say who asks, whatever their bodies say; who approves or signs them has to be allowed to, for the
//! signer that they are meant for; and nobody asks for a certificate of `system:masters` (upstream's CertificateApproval,
//! CertificateSigning and CertificateSubjectRestriction).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

use super::{Attributes, Mutate, Operation, Validate};
use crate::auth::{Resource, groups};

const GROUP: &str = "certificates.k8s.io";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// The plugin.
pub(super) struct SigningRequest;

impl Mutate for SigningRequest {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !applies(attributes) || attributes.operation != Operation::Create {
            return;
        }
        let Some(spec) = object.body.get_mut("spec").and_then(Value::as_object_mut) else {
            return;
        };
        let user = attributes.user;
        spec.insert("username".into(), json!(user.name));
        spec.insert("groups".into(), json!(user.groups));
        for (field, value, is_empty) in [
            ("uid", json!(user.uid), user.uid.is_empty()),
            ("extra", json!(user.extra), user.extra.is_empty()),
        ] {
            spec.remove(field);
            if !is_empty {
                spec.insert(field.into(), value);
            }
        }
    }
}

impl Validate for SigningRequest {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object.filter(|_| applies(attributes)) else {
            return Ok(());
        };
        let signer = object.at("spec.signerName").and_then(Value::as_str).unwrap_or_default();
        let refused = |why: &str| Err(Status::forbidden(attributes.kind, attributes.name, why));
        let certificate = |object: &Object| object.at("status.certificate").cloned();
        let is_signed = || {
            attributes
                .old
                .is_some_and(|old| certificate(old) != certificate(object))
        };
        match (attributes.operation, attributes.subresource) {
            (Operation::Create, _) if signer == CLIENT && is_for_masters(object) => refused(&format!(
                "use of {CLIENT} signer with {} group is not allowed",
                groups::MASTERS
            )),
            (Operation::Update, "approval") if !may(attributes, "approve", signer) => refused(&format!(
                "user not permitted to approve requests with signerName {signer:?}"
            )),
            (Operation::Update, "status") if is_signed() && !may(attributes, "sign", signer) => refused(&format!(
                "user not permitted to sign requests with signerName {signer:?}"
            )),
            _ => Ok(()),
        }
    }
}

fn applies(attributes: &Attributes<'_>) -> bool {
    attributes.kind.group == GROUP && attributes.kind.kind == "CertificateSigningRequest"
}

/// For this signer, or for all of its domain (`example.com/*`).
fn may(attributes: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let all = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    [Some(signer), all.as_deref()].into_iter().flatten().any(|name| {
        let signers = Resource {
            verb,
            group: GROUP,
            resource: "signers",
            name,
            ..Resource::default()
        };
        attributes.authorizer.allows(attributes.user, signers)
    })
}

/// Whether the request's subject is in the group that may everything. What can't be read is refused by validation.
fn is_for_masters(object: &Object) -> bool {
    let request = object.at("spec.request").and_then(Value::as_str).unwrap_or_default();
    let Ok(pem) = STANDARD.decode(request) else {
        return false;
    };
    let Ok((_, pem)) = parse_x509_pem(&pem) else {
        return false;
    };
    let Ok((_, request)) = X509CertificationRequest::from_der(&pem.contents) else {
        return false;
    };
    let mut organizations = request.certification_request_info.subject.iter_organization();
    organizations.any(|name| name.as_str() == Ok(groups::MASTERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_read() {
        for (organization, is_master) in [("system:masters", true), ("people", false)] {
            let mut params = rcgen::CertificateParams::default();
            params
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, "others");
            params
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, organization);
            let key = rcgen::KeyPair::generate().expect("a key");
            let pem = params.serialize_request(&key).expect("a request").pem().expect("PEM");
            let object = json!({"metadata": {"name": "r"}, "spec": {"request": STANDARD.encode(pem)}});
            let object: Object = serde_json::from_value(object).expect("an object");
            assert_eq!(is_for_masters(&object), is_master, "{organization}");
        }
        assert!(!is_for_masters(&Object::default()));
    }
}
