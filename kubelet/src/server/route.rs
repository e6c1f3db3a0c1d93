//! From a path to what serves it, and from names to the container that is meant.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use k8s_openapi::api::core::v1 as core;
use serde_json::json;

use super::answer::{Body, Refusal, text, whole};
use super::{Shared, logs, streams};
use crate::cri::observe::observe;
use crate::pod::Pod;
use crate::pod::observed::{ContainerState, Observed};

/// Options of a request; each may come several times.
pub(crate) type Query = Vec<(String, String)>;

/// Serves one request.
pub(crate) async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    let query = parse_query(request.uri().query().unwrap_or_default());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_get = request.method() == Method::GET;
    match parts[..] {
        ["healthz"] if is_get => Ok(text("ok")),
        ["pods"] if is_get => Ok(pods(&shared)),
        ["containerLogs", namespace, name, container] if is_get => {
            logs::serve(&shared, &pod(&shared, namespace, name)?, container, &query).await
        }
        ["exec", namespace, name, container] | ["exec", namespace, name, _, container] => {
            let id = running(&shared, namespace, name, container).await?;
            streams::exec(&shared, request, id, &query).await
        }
        ["attach", namespace, name, container] | ["attach", namespace, name, _, container] => {
            let pod = pod(&shared, namespace, name)?;
            let has_tty = pod
                .container(container)
                .is_some_and(|container| container.tty == Some(true));
            let id = running(&shared, namespace, name, container).await?;
            streams::attach(&shared, request, id, has_tty, &query).await
        }
        ["portForward", namespace, name] | ["portForward", namespace, name, _] => {
            let pod = pod(&shared, namespace, name)?;
            let observed = look(&shared, &pod).await?;
            let sandbox = observed
                .sandbox()
                .ok_or_else(|| Refusal::not_found(format!("pod {name} has no running sandbox")))?;
            streams::port_forward(&shared, request, sandbox.id.clone(), &query).await
        }
        _ => Err(Refusal::not_found(format!("404: the kubelet serves nothing at {path}"))),
    }
}

fn pods(shared: &Shared) -> Response<Body> {
    let known = shared.known.borrow().clone();
    let list =
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": known.values().collect::<Vec<_>>()});
    let mut response = Response::new(whole(list.to_string()));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

/// The pod of this name that was made last.
pub(crate) fn pod(shared: &Shared, namespace: &str, name: &str) -> Result<Pod, Refusal> {
    let known = shared.known.borrow().clone();
    let is_it = |pod: &&core::Pod| {
        pod.metadata.name.as_deref() == Some(name) && pod.metadata.namespace.as_deref() == Some(namespace)
    };
    let newest = known
        .values()
        .filter(is_it)
        .max_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let pod = newest.cloned().and_then(Pod::from_api);
    pod.ok_or_else(|| Refusal::not_found(format!("pod \"{namespace}/{name}\" is not on this node")))
}

/// What the runtime has of it.
pub(crate) async fn look(shared: &Shared, pod: &Pod) -> Result<Observed, Refusal> {
    let context = &shared.context;
    let observed = observe(&*context.runtime, &context.node.name, &pod.uid).await;
    observed.map_err(|error| Refusal::internal(format!("the container runtime can't be asked: {error}")))
}

/// Id of the run of this container that runs now.
async fn running(shared: &Shared, namespace: &str, name: &str, container: &str) -> Result<String, Refusal> {
    let pod = pod(shared, namespace, name)?;
    let observed = look(shared, &pod).await?;
    match observed.latest(container) {
        Some(run) if run.state == ContainerState::Running => Ok(run.id.clone()),
        Some(_) => Err(Refusal::bad_request(format!(
            "container {container} of pod {namespace}/{name} is not running"
        ))),
        None if pod.container(container).is_none() => Err(Refusal::bad_request(format!(
            "container {container} is not valid for pod {name}"
        ))),
        None => Err(Refusal::not_found(format!(
            "container not found (\"{container}\"): it has not been created yet"
        ))),
    }
}

/// Undoes the percent encoding of a query.
pub(crate) fn parse_query(text: &str) -> Query {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], escaped) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The last value of an option.
pub(crate) fn option<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query
        .iter()
        .rev()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// Whether an option says yes.
pub(crate) fn flag(query: &Query, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| option(query, name).is_some_and(|value| matches!(value, "1" | "true" | "t" | "True" | "TRUE")))
}

/// All options of this name, in order.
pub(crate) fn all(query: &Query, name: &str) -> Vec<String> {
    query
        .iter()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = parse_query("command=sh&command=-c&command=echo+a%20%2Bb&tty=1&x");
        assert_eq!(all(&query, "command"), ["sh", "-c", "echo a +b"]);
        assert!(flag(&query, &["tty"]) && !flag(&query, &["stdin", "input"]));
        assert_eq!(option(&query, "x"), Some(""));
        assert_eq!(
            parse_query("a=%zz&b=%4"),
            [("a".into(), "%zz".into()), ("b".into(), "%4".into())]
        );
    }
}
