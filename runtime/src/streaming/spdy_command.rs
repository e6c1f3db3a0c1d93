//! Exec and attach over SPDY: a stream for each of error, stdin, stdout, stderr and resize, told apart by `streamtype`.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Deserializer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::session::{self, ClientStreams, Output, Session, TerminalSize, Wanted};
use super::spdy::{Connection, ConnectionError, Stream, StreamWriter};
use super::status::status;
use super::{Backend, Outcome};

/// How long a client may take to open its streams.
const OPENING: Duration = Duration::from_secs(30);

/// Serves one session on a connection that was upgraded.
pub(super) async fn serve<T>(io: T, session: Session, backend: &dyn Backend) -> Result<(), ConnectionError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let wanted = session.wanted().expect("a command's session");
    let (mut connection, run) = Connection::over(io);
    let handler = async move {
        let opened = timeout(OPENING, accept_all(&mut connection, wanted)).await;
        let Ok(Some(mut streams)) = opened else {
            tracing::debug!("a client didn't open the streams it asked for");
            return;
        };
        let last = streams.values().map(|stream| stream.id).max().unwrap_or_default();
        command(&mut streams, session, wanted, backend).await;
        connection.say_goodbye(last).await;
    };
    tokio::pin!(run);
    tokio::select! {
        // The client is gone: the handler is dropped, and with it the process's pipes or terminal.
        ended = &mut run => ended,
        () = handler => run.await,
    }
}

async fn accept_all(connection: &mut Connection, wanted: Wanted) -> Option<HashMap<&'static str, Stream>> {
    let expected = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr),
        ("resize", wanted.tty),
    ];
    let mut missing: Vec<&'static str> = expected
        .iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(name, _)| *name)
        .collect();
    let mut streams = HashMap::new();
    while !missing.is_empty() {
        let stream = connection.accept().await?;
        let kind = stream.header("streamtype").unwrap_or_default();
        if let Some(index) = missing.iter().position(|name| *name == kind) {
            streams.insert(missing.swap_remove(index), stream);
        }
    }
    Some(streams)
}

async fn command(streams: &mut HashMap<&'static str, Stream>, session: Session, wanted: Wanted, backend: &dyn Backend) {
    let (client, ours) = session::streams(wanted);
    let ClientStreams { stdin, output, size } = client;
    let writer = |streams: &HashMap<&'static str, Stream>, name| streams.get(name).map(|s| s.writer.clone());
    let (error, stdout, stderr) = (
        writer(streams, "error"),
        writer(streams, "stdout"),
        writer(streams, "stderr"),
    );
    let input = async {
        let resizes = streams.remove("resize").map(|stream| stream.reader);
        let typed = streams.remove("stdin").map(|stream| stream.reader);
        futures::join!(forward_input(typed, stdin), follow_size(resizes, size));
        std::future::pending::<()>().await;
    };
    let outcome = async {
        let ((), outcome) = futures::join!(
            forward_output(output, stdout.as_ref(), stderr.as_ref()),
            session::run(backend, session, ours)
        );
        outcome
    };
    let outcome: Outcome = tokio::select! {
        outcome = outcome => outcome,
        () = input => unreachable!("input never ends a session"),
    };
    for writer in [stdout, stderr].into_iter().flatten() {
        let _ = writer.finish().await;
    }
    if let Some(error) = error {
        let _ = error.send(Bytes::from(status(&outcome).to_string())).await;
        let _ = error.finish().await;
    }
}

/// Passes on what the user types, until either end closes.
async fn forward_input(from: Option<mpsc::Receiver<Bytes>>, to: Option<mpsc::Sender<Bytes>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    while let Some(data) = from.recv().await {
        if to.send(data).await.is_err() {
            return;
        }
    }
}

async fn forward_output(
    mut from: mpsc::Receiver<Output>,
    stdout: Option<&StreamWriter>,
    stderr: Option<&StreamWriter>,
) {
    while let Some(output) = from.recv().await {
        let (writer, data) = match output {
            Output::Stdout(data) => (stdout, data),
            Output::Stderr(data) => (stderr, data),
        };
        if let Some(writer) = writer
            && writer.send(data).await.is_err()
        {
            return;
        }
    }
}

async fn follow_size(resizes: Option<mpsc::Receiver<Bytes>>, size: watch::Sender<Option<TerminalSize>>) {
    let Some(mut resizes) = resizes else { return };
    while let Some(data) = resizes.recv().await {
        if let Some(last) = last_size(&data) {
            size.send_replace(Some(last));
        }
    }
}

/// The last of the sizes in a chunk: JSON objects one after the other.
pub(super) fn last_size(data: &[u8]) -> Option<TerminalSize> {
    Deserializer::from_slice(data)
        .into_iter::<TerminalSize>()
        .map_while(Result::ok)
        .last()
}
