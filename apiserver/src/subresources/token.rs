//! `POST serviceaccounts/NAME/token`: a token for a service account, for as long and for whom the request says, and bound to a
//! pod, secret or node if it names one. Nothing is stored.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use minik_api::field::{self, Path};
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::authorize::node::node_of;
use crate::auth::token::{Claims, Reference, Wanted};
use crate::http::{Api, Call, json as respond, value};
use crate::registry::{Registry, Target};

const DEFAULT_SECONDS: i64 = 60 * 60;
const MIN_SECONDS: i64 = 10 * 60;
const MAX_SECONDS: i64 = 1 << 32;

/// authentication/v1 TokenRequestSpec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<BoundTo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BoundTo {
    kind: String,
    api_version: String,
    name: String,
    uid: String,
}

/// Makes the token that the body asks for.
pub(super) async fn create(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let mut request = value(&call, body)
        .await?
        .filter(Value::is_object)
        .ok_or_else(|| Status::bad_request("the body has to be a TokenRequest"))?;
    let spec: Spec = match request.get("spec") {
        Some(spec) => serde_json::from_value(spec.clone())
            .map_err(|error| Status::bad_request(format!("the body is no TokenRequest: {error}")))?,
        None => Spec::default(),
    };
    let target = call.target();
    let account = api.registry.get(target)?.object();
    let seconds = spec.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
    check_lifetime(seconds)?;
    let own = api.authenticator.tokens.audiences();
    let asked = spec.audiences.unwrap_or_default();
    let audiences = if asked.is_empty() { own.to_vec() } else { asked };
    let mut wanted = Wanted {
        namespace: target.namespace.to_owned(),
        account: reference(&account),
        is_for_api: audiences.iter().all(|name| own.contains(name)),
        audiences: audiences.clone(),
        seconds,
        ..Wanted::default()
    };
    let bound = spec.bound_object_ref.as_ref();
    let pod = bound
        .map(|bound| bind(&api.registry, target, bound, &mut wanted))
        .transpose()?
        .flatten();
    if let Some(node) = call.user.node() {
        for_node(node, bound, pod.as_ref(), &audiences, own)
            .map_err(|why| Status::forbidden(target.kind, target.name, &why))?;
    }
    let now = Timestamp::now();
    let id = uuid::Uuid::new_v4().to_string();
    let (claims, told) = Claims::new(wanted, api.authenticator.tokens.issuer(), id, now.as_second());
    let expires = Timestamp::from_second(told).unwrap_or(Timestamp::MAX);
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["metadata"] = json!({"name": target.name, "namespace": target.namespace, "creationTimestamp": time(now)});
    let mut answered = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null});
    if let Some(bound) = request.get("spec").and_then(|spec| spec.get("boundObjectRef")) {
        answered["boundObjectRef"] = bound.clone();
    }
    request["spec"] = answered;
    request["status"] = json!({"token": api.authenticator.tokens.issue(&claims), "expirationTimestamp": time(expires)});
    Ok(respond(StatusCode::CREATED, &call.accept, &request))
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn check_lifetime(seconds: i64) -> Result<(), Status> {
    let detail = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        MIN_SECONDS..=MAX_SECONDS => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let path = Path::new("spec").child("expirationSeconds");
    Err(Status::invalid(
        &TOKEN_REQUEST,
        "",
        &[field::Error::invalid(&path, seconds, detail)],
    ))
}

/// For messages: the kind of the bodies of this subresource has no path of its own.
const TOKEN_REQUEST: Kind = Kind {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenRequest",
    plural: "tokenrequests",
    singular: "tokenrequest",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &[],
    subresources: &[],
    stored_in: None,
};

fn reference(object: &Object) -> Reference {
    Reference {
        name: object.name().to_owned(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Binds the token to an object that is there; gives the pod if it is one.
fn bind(registry: &Registry, account: Target<'_>, to: &BoundTo, wanted: &mut Wanted) -> Result<Option<Object>, Status> {
    let core = |kind: &str| kinds::of("", "v1", kind).filter(|_| to.api_version == "v1" || to.api_version.is_empty());
    let kind = ["Pod", "Secret", "Node"]
        .contains(&to.kind.as_str())
        .then(|| core(&to.kind))
        .flatten();
    let kind = kind.ok_or_else(|| {
        let (group, version) = to.api_version.split_once('/').unwrap_or(("", &to.api_version));
        Status::bad_request(format!(
            "cannot bind token to object of type {group}/{version}, Kind={}",
            to.kind
        ))
    })?;
    let namespace = if kind.namespaced { account.namespace } else { "" };
    let name = to.name.as_str();
    let object = registry.get(Target { kind, namespace, name })?.object();
    let found = reference(&object);
    if !to.uid.is_empty() && to.uid != found.uid {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted \
             and then recreated",
            to.uid
        );
        return Err(Status::conflict(kind, name, &why));
    }
    match to.kind.as_str() {
        "Secret" => wanted.secret = Some(found),
        "Node" => wanted.node = Some(found),
        _ => {
            let runs_as = object
                .at("spec.serviceAccountName")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if runs_as != account.name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    account.name
                )));
            }
            wanted.pod = Some(found);
            wanted.node = node(registry, &object);
            return Ok(Some(object));
        }
    }
    Ok(None)
}

/// The node that the pod is bound to.
fn node(registry: &Registry, pod: &Object) -> Option<Reference> {
    let name = node_of(pod);
    let kind = kinds::of("", "v1", "Node").expect("nodes are in the table of kinds");
    let stored = (!name.is_empty()).then(|| {
        registry
            .get(Target {
                kind,
                namespace: "",
                name,
            })
            .ok()
    })?;
    Some(match stored {
        Some(stored) => reference(&stored.object()),
        None => Reference {
            name: name.to_owned(),
            uid: String::new(),
        },
    })
}

/// A node gets tokens for its own pods alone, and for the audiences that these name.
fn for_node(
    node: &str,
    bound: Option<&BoundTo>,
    pod: Option<&Object>,
    audiences: &[String],
    own: &[String],
) -> Result<(), String> {
    let (Some(bound), Some(pod)) = (bound, pod) else {
        return Err("node requested token not bound to a pod".into());
    };
    if bound.uid.is_empty() {
        return Err("node requested token with a pod binding without a uid".into());
    }
    if node_of(pod) != node {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    }
    let volumes = pod.at("spec.volumes").and_then(Value::as_array).into_iter().flatten();
    let sources = volumes
        .filter_map(|volume| volume["projected"]["sources"].as_array())
        .flatten();
    let named: Vec<&str> = sources
        .filter_map(|source| source["serviceAccountToken"]["audience"].as_str())
        .collect();
    let is_known = |name: &String| own.contains(name) || named.contains(&name.as_str());
    match audiences.iter().find(|name| !is_known(name)) {
        Some(name) => Err(format!(
            "audience {name:?} not found in pod spec volume, system:node:{node} is not authorized to request tokens for this audience"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_bounds() {
        for (seconds, fits) in [
            (599, false),
            (600, true),
            (MAX_SECONDS, true),
            (MAX_SECONDS + 1, false),
            (-1, false),
        ] {
            assert_eq!(check_lifetime(seconds).is_ok(), fits, "{seconds}");
        }
        let refused = check_lifetime(60).expect_err("too short");
        assert_eq!(
            refused.message,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: \
             may not specify a duration less than 10 minutes"
        );
    }

    #[test]
    fn nodes_ask_for_their_own_pods() {
        let pod: Object = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1",
            "volumes": [{"projected": {"sources": [{"serviceAccountToken": {"audience": "vault"}}]}}]}}))
        .expect("a pod");
        let bound = |uid: &str| BoundTo {
            uid: uid.into(),
            ..BoundTo::default()
        };
        let own = ["api".to_owned()];
        for (node, uid, audience, complaint) in [
            ("n1", "u", "api", None),
            ("n1", "u", "vault", None),
            ("n1", "u", "other", Some("audience \"other\" not found")),
            ("n1", "", "api", Some("without a uid")),
            ("n2", "u", "api", Some("on a different node")),
        ] {
            let asked = for_node(node, Some(&bound(uid)), Some(&pod), &[audience.to_owned()], &own);
            match (asked, complaint) {
                (Ok(()), None) => {}
                (Err(why), Some(complaint)) => assert!(why.contains(complaint), "{why}"),
                (asked, _) => panic!("{node} {uid} {audience}: {asked:?}"),
            }
        }
        assert!(for_node("n1", None, None, &[], &own).is_err());
    }
}
