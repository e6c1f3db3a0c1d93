//! What was decided, done: requests to the API server.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use kube::core::Request;
use kube::{Client, Error};
use serde_json::{Value, json};

use crate::garbage::{Action, Answer, Kind, Object, Propagation};
use crate::watches::resource;

/// Who we are where writes are told apart.
const MANAGER: &str = "controllers";
/// The finalizer in a namespace's spec that stands for what it contains.
const KUBERNETES: &str = "kubernetes";

/// What a garbage collector's action brought.
pub(crate) enum Outcome {
    /// Done, or done already by another.
    Done,
    /// Whether the owner is there.
    Answered(Answer),
    /// The object has changed meanwhile, which will be seen.
    Changed,
}

/// Does one action of the garbage collector. `owner_kind` is that of an owner to ask for.
pub(crate) async fn collect(
    client: &Client,
    object: &Object,
    action: &Action,
    owner_kind: Option<&Kind>,
) -> Result<Outcome, Error> {
    let api = api(client, &object.kind, &object.namespace);
    let done = match action {
        Action::Ask(owner) => return ask(client, object, owner, owner_kind).await,
        Action::Delete(propagation) => api
            .delete(&object.name, &deletion(object, *propagation))
            .await
            .map(drop),
        Action::Own(owners) => {
            let change = json!({"ownerReferences": owners});
            patch(&api, object, change).await
        }
        Action::Finish(finalizer) => {
            let left: Vec<&String> = object.finalizers.iter().filter(|name| name != finalizer).collect();
            patch(&api, object, json!({"finalizers": left})).await
        }
    };
    match done {
        Ok(()) => Ok(Outcome::Done),
        Err(Error::Api(status)) if status.code == 404 => Ok(Outcome::Done),
        Err(Error::Api(status)) if status.code == 409 => Ok(Outcome::Changed),
        Err(error) => Err(error),
    }
}

async fn ask(client: &Client, object: &Object, owner: &OwnerReference, kind: Option<&Kind>) -> Result<Outcome, Error> {
    let Some(kind) = kind else {
        // No longer served: nobody can tell.
        return Ok(Outcome::Answered(Answer::Present));
    };
    let namespace = if kind.namespaced { object.namespace.as_str() } else { "" };
    let found = api(client, kind, namespace).get_metadata_opt(&owner.name).await?;
    let is_there = found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&owner.uid));
    Ok(Outcome::Answered(if is_there {
        Answer::Present
    } else {
        Answer::Absent
    }))
}

/// Only this very object, as it was decided on.
fn deletion(object: &Object, propagation: Propagation) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(match propagation {
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Orphan => PropagationPolicy::Orphan,
        }),
        preconditions: Some(Preconditions {
            uid: Some(object.uid.to_string()),
            resource_version: Some(object.resource_version.clone()),
        }),
        ..DeleteParams::default()
    }
}

async fn patch(api: &Api<DynamicObject>, object: &Object, mut metadata: Value) -> Result<(), Error> {
    metadata["uid"] = object.uid.to_string().into();
    metadata["resourceVersion"] = object.resource_version.clone().into();
    let patch = Patch::Merge(json!({"metadata": metadata}));
    api.patch_metadata(&object.name, &PatchParams::apply(MANAGER), &patch)
        .await
        .map(drop)
}

/// Deletes everything in a namespace; gives what was refused.
pub(crate) async fn empty(client: &Client, kinds: &[Arc<Kind>], namespace: &str) -> Vec<String> {
    let mut failures = Vec::new();
    let (pods, others): (Vec<_>, Vec<_>) = kinds
        .iter()
        .partition(|kind| kind.group.is_empty() && kind.kind == "Pod");
    // Pods first: what they need (network policies, secrets) is there until they are told to end.
    for kind in pods.into_iter().chain(others) {
        let all = api(client, kind, namespace);
        let deletion = DeleteParams::background();
        match all.delete_collection(&deletion, &ListParams::default()).await {
            Ok(_) => {}
            Err(Error::Api(status)) if matches!(status.code, 404 | 405) => {}
            Err(error) => failures.push(format!("{}: {error}", kind.plural)),
        }
    }
    failures
}

/// Whether there is nothing left in a namespace.
pub(crate) async fn is_empty(client: &Client, kinds: &[Arc<Kind>], namespace: &str) -> Result<bool, Error> {
    for kind in kinds {
        let all = api(client, kind, namespace);
        match all.list_metadata(&ListParams::default().limit(1)).await {
            Ok(list) if list.items.is_empty() => {}
            Ok(_) => return Ok(false),
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes into a namespace's status what is left in it: the conditions that have changed.
pub(crate) async fn report(client: &Client, namespace: &str, mut changed: Vec<Value>) -> Result<(), Error> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for condition in &mut changed {
        condition["lastTransitionTime"] = now.clone().into();
    }
    let patch = Patch::Strategic(json!({"status": {"conditions": changed}}));
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<Namespace>(&()));
    forgiven(
        namespaces
            .patch_status(namespace, &PatchParams::apply(MANAGER), &patch)
            .await
            .map(drop),
    )
}

/// Takes away the finalizer that stands for a namespace's contents.
pub(crate) async fn finalize(client: &Client, namespace: &str) -> Result<(), Error> {
    let path = format!("/api/v1/namespaces/{namespace}");
    let get = Request::new("/api/v1/namespaces").get(namespace, &kube::api::GetParams::default());
    let mut object: Value = match client.request(get.map_err(Error::BuildRequest)?).await {
        Err(Error::Api(status)) if status.code == 404 => return Ok(()),
        answer => answer?,
    };
    if let Some(Value::Array(finalizers)) = object.pointer_mut("/spec/finalizers") {
        finalizers.retain(|finalizer| finalizer != KUBERNETES);
    }
    let put = http::Request::put(format!("{path}/finalize"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(object.to_string().into_bytes())
        .map_err(Error::HttpError)?;
    forgiven(client.request::<Value>(put).await.map(drop))
}

/// What is gone or has changed needs nothing more: the change will be seen.
fn forgiven(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        result => result,
    }
}

fn api(client: &Client, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
    match namespace {
        "" => Api::all_with(client.clone(), &resource(kind)),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource(kind)),
    }
}

const SIGNING_REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// A request for a certificate as it is stored, if it is.
pub(crate) async fn signing_request(client: &Client, name: &str) -> Result<Option<Value>, Error> {
    let get = Request::new(SIGNING_REQUESTS).get(name, &kube::api::GetParams::default());
    match client.request(get.map_err(Error::BuildRequest)?).await {
        Err(Error::Api(status)) if status.code == 404 => Ok(None),
        answer => answer.map(Some),
    }
}

/// Writes its status: the certificate, or why there is none.
pub(crate) async fn answer_signing_request(client: &Client, request: &Value) -> Result<(), Error> {
    let name = request["metadata"]["name"].as_str().unwrap_or_default();
    let put = http::Request::put(format!("{SIGNING_REQUESTS}/{name}/status"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(request.to_string().into_bytes())
        .map_err(Error::HttpError)?;
    forgiven(client.request::<Value>(put).await.map(drop))
}

/// Deletes it as it was seen.
pub(crate) async fn delete_signing_request(client: &Client, request: &Value) -> Result<(), Error> {
    let metadata = &request["metadata"];
    let text = |field: &str| metadata[field].as_str().map(str::to_owned);
    let options = DeleteParams {
        preconditions: Some(Preconditions {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
        }),
        ..DeleteParams::default()
    };
    let name = metadata["name"].as_str().unwrap_or_default();
    let delete = Request::new(SIGNING_REQUESTS).delete(name, &options);
    forgiven(
        client
            .request::<Value>(delete.map_err(Error::BuildRequest)?)
            .await
            .map(drop),
    )
}
