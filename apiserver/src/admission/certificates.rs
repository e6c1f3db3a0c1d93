//! Requests for certificates: who asks is written down by the server, who approves and who signs must be allowed to for that
//! signer, and nobody becomes one of those who may everything by a certificate (upstream's certificate admission plugins).

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{Attributes, Mutate, Operation, Validate};
use crate::auth::{Resource, User};
use crate::kinds::certificates::organizations;

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

/// The plugin.
pub(super) struct Certificates;

impl Mutate for Certificates {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if attributes.kind.group != GROUP || attributes.operation != Operation::Create {
            return;
        }
        if let Some(Value::Object(spec)) = object.body.get_mut("spec") {
            for field in ["username", "uid", "groups", "extra"] {
                spec.remove(field);
            }
            spec.extend(requester(attributes.user));
        }
    }
}

/// Who asks; what is empty is left out.
fn requester(user: &User) -> serde_json::Map<String, Value> {
    let fields = [
        ("username", json!(user.name), user.name.is_empty()),
        ("uid", json!(user.uid), user.uid.is_empty()),
        ("groups", json!(user.groups), user.groups.is_empty()),
        ("extra", json!(user.extra), user.extra.is_empty()),
    ];
    let filled = fields.into_iter().filter(|(.., empty)| !empty);
    filled.map(|(name, value, _)| (name.to_owned(), value)).collect()
}

impl Validate for Certificates {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object.filter(|_| attributes.kind.group == GROUP) else {
            return Ok(());
        };
        let signer = text(object, "spec.signerName");
        let Some(old) = attributes.old else {
            return no_master(attributes, object, signer);
        };
        let decisions = |object: &Object| -> Vec<Value> {
            let all = object
                .at("status.conditions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let decided = all.filter(|one| one["type"] == "Approved" || one["type"] == "Denied");
            decided.cloned().collect()
        };
        if decisions(object) != decisions(old) && !may(attributes, "approve", signer) {
            return Err(refused(
                attributes,
                &format!("user not permitted to approve requests with signerName {signer:?}"),
            ));
        }
        let signed = text(object, "status.certificate") != text(old, "status.certificate");
        if signed && !may(attributes, "sign", signer) {
            return Err(refused(
                attributes,
                &format!("user not permitted to sign requests with signerName {signer:?}"),
            ));
        }
        Ok(())
    }
}

/// A client certificate of this group would be above every role.
fn no_master(attributes: &Attributes<'_>, object: &Object, signer: &str) -> Result<(), Status> {
    let masters = || {
        organizations(text(object, "spec.request"))
            .iter()
            .any(|group| group == MASTERS)
    };
    if signer == CLIENT_SIGNER && masters() {
        let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(refused(attributes, &why));
    }
    Ok(())
}

/// For this signer, or for all of its domain.
fn may(attributes: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer, &format!("{domain}/*")].into_iter().any(|name| {
        let resource = Resource {
            verb,
            group: GROUP,
            resource: "signers",
            name,
            ..Resource::default()
        };
        attributes.authorizer.allows(attributes.user, resource)
    })
}

fn refused(attributes: &Attributes<'_>, why: &str) -> Status {
    Status::forbidden(attributes.kind, attributes.name, why)
}

fn text<'a>(object: &'a Object, path: &str) -> &'a str {
    object.at(path).and_then(Value::as_str).unwrap_or_default()
}
