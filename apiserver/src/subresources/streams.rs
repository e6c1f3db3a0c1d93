//! `exec`, `attach`, `portforward`: the client's connection, upgraded, becomes one with the kubelet's. Both WebSocket and SPDY
//! are just bytes here.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use minik_api::object::Object;
use minik_api::status::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;

use super::{kubelet, log};
use crate::http::{Api, Call, Seat};

/// Opens a stream to the kubelet and joins the two.
pub(super) async fn open(api: &Api, call: Call, name: &str) -> Result<Response, Status> {
    let pod = kubelet::pod(&api.registry, &call)?;
    let path = path(&pod, name, &log::query(&call)?)?;
    let to = kubelet::location(&api.registry, &pod)?
        .ok_or_else(|| Status::bad_request(format!("pod {} does not have a host assigned", pod.name())))?;
    // The last to be asked for, as upstream.
    if !call.parts.headers.contains_key(UPGRADE) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let mut request = log::request(call.method.as_str(), &path, &to, &call)?;
    if let Some(headers) = request.headers_mut() {
        copy_handshake(&call.parts.headers, headers);
    }
    let request = request
        .body(Body::empty())
        .map_err(|error| Status::bad_request(error.to_string()))?;
    let mut answer = api.kubelet.send(&to, request).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(log::refused(answer).await);
    }
    let mut head = HeaderMap::new();
    copy_handshake(answer.headers(), &mut head);
    let request = axum::extract::Request::from_parts(call.parts, Body::empty());
    Ok(join(&mut answer, request, head, api.stop.clone()))
}

/// The answer to a request that switches protocols as the other side has done; from then on, bytes go both ways.
pub(crate) fn join(
    answer: &mut http::Response<Incoming>,
    mut request: axum::extract::Request,
    headers: HeaderMap,
    stop: CancellationToken,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    // The answer ends here, and what its client occupies doesn't.
    let seat = request.extensions_mut().remove::<Arc<Seat>>();
    let (theirs, ours) = (hyper::upgrade::on(answer), hyper::upgrade::on(&mut request));
    tokio::spawn(async move {
        let _seat = seat;
        // Ours is there only once the 101 is sent, so both are awaited here.
        let Ok((theirs, ours)) = tokio::try_join!(theirs, ours) else {
            return tracing::debug!("the client went away during the upgrade");
        };
        let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
        tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => tracing::debug!(?copied, "stream ended"),
            () = stop.cancelled() => {}
        }
    });
    response
}

/// The headers that belong to the upgrade, and those alone: `Upgrade`, WebSocket's, and the stream protocol's version.
fn copy_handshake(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let is_ours = name.as_str().starts_with("sec-websocket-") || name.as_str() == "x-stream-protocol-version";
        if is_ours || name == CONNECTION || name == UPGRADE {
            to.append(name, value.clone());
        }
    }
}

/// The kubelet's path, with its names for the options.
fn path(pod: &Object, name: &str, pairs: &[(String, String)]) -> Result<String, Status> {
    let (namespace, pod_name) = (pod.namespace(), pod.name());
    if name == "portforward" {
        let ports = pairs
            .iter()
            .filter(|(name, _)| name == "ports")
            .map(|(_, value)| ("port", value.as_str()));
        return Ok(format!("/portForward/{namespace}/{pod_name}{}", encoded(ports)));
    }
    let asked = pairs
        .iter()
        .find(|(name, _)| name == "container")
        .map(|(_, value)| value.as_str());
    let container = kubelet::container(pod, asked)?;
    let options = pairs.iter().filter_map(|(name, value)| {
        let wanted = !matches!(value.to_ascii_lowercase().as_str(), "false" | "0");
        match name.as_str() {
            "stdin" if wanted => Some(("input", "1")),
            "stdout" if wanted => Some(("output", "1")),
            "stderr" if wanted => Some(("error", "1")),
            "tty" if wanted => Some(("tty", "1")),
            "command" => Some(("command", value.as_str())),
            _ => None,
        }
    });
    Ok(format!(
        "/{name}/{namespace}/{pod_name}/{container}{}",
        encoded(options)
    ))
}

fn encoded<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        let sign = if query.is_empty() { '?' } else { '&' };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        write!(query, "{sign}{name}={value}").expect("writing to a string doesn't fail");
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_called_as_the_kubelet_calls_them() {
        let pod = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [{"name": "c"}]}});
        let pod: Object = serde_json::from_value(pod).expect("a pod");
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let asked = pairs(&[
            ("command", "sh"),
            ("command", "-c a&b"),
            ("stdin", "true"),
            ("stdout", "true"),
            ("tty", "false"),
        ]);
        let exec = path(&pod, "exec", &asked).expect("one container");
        assert_eq!(exec, "/exec/d/p/c?command=sh&command=%2Dc%20a%26b&input=1&output=1");
        let forward = path(&pod, "portforward", &pairs(&[("ports", "80")])).expect("no container needed");
        assert_eq!(forward, "/portForward/d/p?port=80");
        let wrong = path(&pod, "attach", &pairs(&[("container", "x")])).expect_err("no such container");
        assert_eq!(wrong.message, "container x is not valid for pod p");
    }
}
