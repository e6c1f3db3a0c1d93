//! Port-forward over SPDY: for each connection an error and a data stream, which share a `requestid` and name the `port`.

use std::collections::HashMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::Backend;
use super::ports::forward;
use super::spdy::{Connection, ConnectionError, Stream};

/// Serves one client, with as many connections as it opens, until it is gone.
pub(super) async fn serve<T>(io: T, sandbox_id: &str, backend: &dyn Backend) -> Result<(), ConnectionError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut connection, run) = Connection::over(io);
    let handler = async move {
        let mut unpaired: HashMap<String, Stream> = HashMap::new();
        let mut forwarding = FuturesUnordered::new();
        loop {
            tokio::select! {
                stream = connection.accept() => {
                    let Some(stream) = stream else { return };
                    let id = request_id(&stream);
                    match unpaired.remove(&id) {
                        Some(other) => forwarding.push(serve_pair(other, stream, sandbox_id, backend)),
                        None => { unpaired.insert(id, stream); }
                    }
                }
                Some(()) = forwarding.next() => {}
            }
        }
    };
    tokio::select! {
        ended = run => ended,
        () = handler => Ok(()),
    }
}

/// Clients that name no request open the error stream right before the data stream.
fn request_id(stream: &Stream) -> String {
    match (stream.header("requestid"), stream.header("streamtype")) {
        (Some(id), _) => format!("request {id}"),
        (None, Some("data")) => format!("stream {}", stream.id.saturating_sub(2)),
        (None, _) => format!("stream {}", stream.id),
    }
}

async fn serve_pair(one: Stream, two: Stream, sandbox_id: &str, backend: &dyn Backend) {
    let (error, data) = if one.header("streamtype") == Some("error") {
        (one, two)
    } else {
        (two, one)
    };
    let result = match data.header("port").and_then(|port| port.parse().ok()) {
        Some(port) => serve_port(port, data, sandbox_id, backend).await,
        None => Err(format!("{:?} is no port", data.header("port").unwrap_or_default())),
    };
    if let Err(message) = result {
        let _ = error.writer.send(Bytes::from(message)).await;
    }
    let _ = error.writer.finish().await;
}

async fn serve_port(port: u16, data: Stream, sandbox_id: &str, backend: &dyn Backend) -> Result<(), String> {
    let (to_client, mut chunks) = mpsc::channel(1);
    let writer = data.writer;
    let writing = async {
        while let Some(chunk) = chunks.recv().await {
            if writer.send(chunk).await.is_err() {
                return;
            }
        }
        let _ = writer.finish().await;
    };
    let (result, ()) = futures::join!(forward(backend, sandbox_id, port, data.reader, to_client), writing);
    result
}
