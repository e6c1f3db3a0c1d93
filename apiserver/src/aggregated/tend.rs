//! Whether the other servers answer: each is asked what it serves when something about it changes, and every half minute,
//! since a server that goes says nothing (upstream's availability controller).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Limited};
use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{API_SERVICES, Aggregated, Remote, Served, all, request};
use crate::auth::{User, groups};
use crate::http::Api;
use crate::kinds::read;
use crate::registry::{Part, Registry, Target, WriteOptions, now};
use crate::services;
use crate::storage::{Key, Store};

/// As upstream.
const AGAIN: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(6);
const ANSWER_MAX_BYTES: usize = 3 * 1024 * 1024;
/// What decides where a server is.
const WATCHED: [&str; 5] = [
    API_SERVICES,
    "services",
    "endpointslices.discovery.k8s.io",
    "endpoints",
    "pods",
];

/// Keeps the conditions of all API services of others, and what they serve, until the store stops.
pub(crate) async fn tend(api: Arc<Api>) {
    let store = api.registry.store();
    let mut changes: Vec<_> = WATCHED.iter().map(|resource| store.subscribe(resource)).collect();
    loop {
        changes.iter_mut().for_each(|change| drop(change.borrow_and_update()));
        let remotes = all(store, api.registry.kinds());
        let looked = futures::future::join_all(remotes.iter().map(|remote| look(&api, remote))).await;
        {
            let mut served = api.aggregated.served();
            served.retain(|name, _| remotes.iter().any(|remote| remote.name == *name));
        }
        // Pods come and go all the time: they matter while somebody doesn't answer.
        let watched = match (remotes.is_empty(), looked.iter().all(|is_there| *is_there)) {
            (true, _) => 1,
            (false, true) => WATCHED.len() - 1,
            (false, false) => WATCHED.len(),
        };
        let waits = changes[..watched].iter_mut().map(|change| Box::pin(change.changed()));
        let again = async {
            match remotes.is_empty() {
                true => futures::future::pending().await,
                false => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            (changed, ..) = futures::future::select_all(waits) => if changed.is_err() {
                return;
            },
            () = again => {}
        }
    }
}

/// Asks one server and notes the answer; whether it was there.
async fn look(api: &Api, remote: &Remote) -> bool {
    let store = api.registry.store();
    let found = match place(store, remote) {
        Ok(()) => ask(&api.aggregated, store, remote)
            .await
            .map_err(|why| ("FailedDiscoveryCheck", why)),
        Err(missing) => Err(missing),
    };
    let (status, reason, message) = match &found {
        Ok(_) => ("True", "Passed", "all checks passed"),
        Err((reason, why)) => ("False", *reason, why.as_str()),
    };
    let condition = json!({"type": "Available", "status": status, "reason": reason, "message": message});
    let is_there = found.is_ok();
    api.aggregated.note(remote, found.ok());
    if let Err(status) = tell(&api.registry, remote, condition).await {
        tracing::warn!(name = remote.name, %status, "the condition of the API service can't be written; trying again at the next change");
    }
    is_there
}

/// What is missing before anybody can be asked.
fn place(store: &Store, remote: &Remote) -> Result<(), (&'static str, String)> {
    let Remote {
        namespace,
        service: name,
        port,
        ..
    } = remote;
    let Some(stored) = store.get(&Key::new("services", namespace, name)) else {
        return Err((
            "ServiceNotFound",
            format!("service/{name} in {namespace:?} is not present"),
        ));
    };
    let service = stored.object();
    if read::text(service.at("spec.type")) == "ExternalName" {
        return Ok(());
    }
    let ports = read::list(service.at("spec.ports"));
    let Some(found) = ports.iter().find(|one| one["port"].as_u64() == Some(u64::from(*port))) else {
        let why = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Err(("ServicePortError", why));
    };
    let endpoints = services::endpoints(store, &service);
    services::of_service(&service, &port.to_string(), &endpoints, &mut rand::rng()).map_err(|_| {
        let port = read::text(found.get("name"));
        let why =
            format!("endpointslices for service/{name} in {namespace:?} have no addresses with port name {port:?}");
        ("MissingEndpoints", why)
    })?;
    Ok(())
}

/// What the server serves.
async fn ask(aggregated: &Aggregated, store: &Store, remote: &Remote) -> Result<Served, String> {
    let path = format!("/apis/{}/{}", remote.group, remote.version);
    let list = get(aggregated, store, remote, &path).await?;
    let documents = get(aggregated, store, remote, "/openapi/v3").await.unwrap_or_default();
    let document = documents["paths"][path.trim_start_matches('/')]["serverRelativeURL"].as_str();
    Ok(Served {
        group: remote.group.clone(),
        version: remote.version.clone(),
        is_current: true,
        resources: read::list(list.get("resources")).to_vec(),
        document: document.map(str::to_owned),
    })
}

async fn get(aggregated: &Aggregated, store: &Store, remote: &Remote, path: &str) -> Result<Value, String> {
    let url = format!(
        "https://{}.{}.svc:{}{path}",
        remote.service, remote.namespace, remote.port
    );
    let asked = async {
        let mut question = Request::get(path)
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let user = User {
            name: "system:kube-aggregator".into(),
            groups: vec![groups::MASTERS.into()],
            ..User::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        *question.headers_mut() = request(&headers, &user, remote);
        let failing = |why: String| format!("failing or missing response from {url}: {why}");
        let answer = aggregated.send(store, remote, question).await.map_err(failing)?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(failing(format!("bad status from {url}: {}", head.status.as_u16())));
        }
        let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(|error| failing(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| failing(error.to_string()))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("timed out waiting for {url}")),
    }
}

impl Aggregated {
    /// What one serves; of who doesn't answer, what it said last.
    fn note(&self, remote: &Remote, found: Option<Served>) {
        let mut all = self.served();
        let served = all.entry(remote.name.clone()).or_default();
        match found {
            Some(found) => *served = found,
            None => {
                served.group.clone_from(&remote.group);
                served.version.clone_from(&remote.version);
                served.is_current = false;
            }
        }
    }
}

async fn tell(registry: &Registry, remote: &Remote, mut condition: Value) -> Result<(), Status> {
    let before = remote.available.clone().unwrap_or_default();
    if ["status", "reason", "message"]
        .iter()
        .all(|part| before[part] == condition[part])
    {
        return Ok(());
    }
    condition["lastTransitionTime"] = match before["status"] == condition["status"] {
        true => before["lastTransitionTime"].clone(),
        false => json!(now()),
    };
    let target = Target {
        kind: kinds::of("apiregistration.k8s.io", "v1", "APIService").expect("they are in the table of kinds"),
        namespace: "",
        name: &remote.name,
    };
    let update = registry.update(target, Part::Status, WriteOptions::own(), |old: &Object| {
        let mut new = old.clone();
        let mut conditions = read::list(old.at("status.conditions")).to_vec();
        conditions.retain(|one| one["type"] != "Available");
        conditions.push(condition.clone());
        new.body.insert("status".into(), json!({"conditions": conditions}));
        Ok(new)
    });
    match update.await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}
