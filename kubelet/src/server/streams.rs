//! Exec, attach and port-forward: the runtime says where its streaming server has the session, and this joins the two
//! connections byte for byte. Whether they speak WebSocket or SPDY is between client and runtime.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use minik_api::cri::{AttachRequest, ExecRequest};
use tokio::net::TcpStream;
use tracing::debug;

use super::Shared;
use super::answer::{Body, Refusal, whole};
use super::route::{Query, all, flag};
use crate::cri::CallError;

/// As much of the runtime's refusal as is passed on.
const REFUSAL_BYTES: usize = 64 * 1024;

/// Runs a command.
pub(crate) async fn exec(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    id: String,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let command = all(query, "command");
    if command.is_empty() {
        return Err(Refusal::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let wanted = ExecRequest {
        container_id: id,
        cmd: command,
        tty: flag(query, &["tty"]),
        stdin: flag(query, &["input", "stdin"]),
        stdout: flag(query, &["output", "stdout"]),
        // A terminal has one stream of output.
        stderr: flag(query, &["error", "stderr"]) && !flag(query, &["tty"]),
    };
    let url = shared.context.runtime.exec(wanted).await.map_err(refused)?;
    join(request, &url).await
}

/// Joins the container's own process.
pub(crate) async fn attach(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    id: String,
    has_tty: bool,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let wanted = AttachRequest {
        container_id: id,
        tty: has_tty,
        stdin: flag(query, &["input", "stdin"]),
        stdout: flag(query, &["output", "stdout"]),
        stderr: flag(query, &["error", "stderr"]) && !has_tty,
    };
    let url = shared.context.runtime.attach(wanted).await.map_err(refused)?;
    join(request, &url).await
}

/// Reaches ports inside the pod.
pub(crate) async fn port_forward(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    sandbox_id: String,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let ports = all(query, "port").iter().filter_map(|port| port.parse().ok()).collect();
    let url = shared
        .context
        .runtime
        .port_forward(&sandbox_id, ports)
        .await
        .map_err(refused)?;
    join(request, &url).await
}

fn refused(error: CallError) -> Refusal {
    match error.is_not_found() {
        true => Refusal::not_found(error.message),
        false => Refusal::internal(error.message),
    }
}

/// Repeats the request at the runtime's URL, and when it agrees to upgrade, connects the two.
async fn join(mut request: Request<Incoming>, url: &str) -> Result<Response<Body>, Refusal> {
    let unreachable = |why: String| {
        Refusal::internal(format!(
            "the container runtime's streaming server at {url} can't be used: {why}"
        ))
    };
    let target: hyper::Uri = url.parse().map_err(|_| unreachable("no URL".into()))?;
    let authority = target
        .authority()
        .ok_or_else(|| unreachable("it names no host".into()))?
        .clone();
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // What a user types is small, and waited for. A connection that refuses this has ended already.
    let _ = stream.set_nodelay(true);
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "the connection to the runtime's streaming server broke");
        }
    });
    let path = target.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut asked = Request::builder().method(request.method()).uri(path);
    if let Some(headers) = asked.headers_mut() {
        copy_handshake(request.headers(), headers);
        let value = authority
            .as_str()
            .parse()
            .map_err(|_| unreachable("its host is no header".into()))?;
        headers.insert(HOST, value);
    }
    let asked = asked
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreachable(error.to_string()))?;
    let mut answer = sender
        .send_request(asked)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return pass_on(answer).await;
    }
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    copy_handshake(answer.headers(), response.headers_mut());
    let (theirs, ours) = (hyper::upgrade::on(&mut answer), hyper::upgrade::on(&mut request));
    tokio::spawn(async move {
        // Ours is there only once the 101 is sent, so both are awaited here.
        let Ok((theirs, ours)) = tokio::try_join!(theirs, ours) else {
            return debug!("the client went away during the upgrade");
        };
        let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
        debug!(?copied, "a stream ended");
    });
    Ok(response)
}

/// The headers that belong to the upgrade.
fn copy_handshake(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let is_ours = name.as_str().starts_with("sec-websocket-") || name.as_str() == "x-stream-protocol-version";
        if is_ours || name == CONNECTION || name == UPGRADE {
            to.append(name, value.clone());
        }
    }
}

async fn pass_on(answer: Response<Incoming>) -> Result<Response<Body>, Refusal> {
    let code = answer.status();
    let body = Limited::new(answer.into_body(), REFUSAL_BYTES).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Err(Refusal::new(code, String::from_utf8_lossy(&body).trim().to_owned()))
}
