//! What a streaming URL stands for, and the channels between a client's protocol and the process or port behind it.
//!
//! The protocols (WebSocket, SPDY) know nothing of containers, and the [`Backend`] knows nothing of protocols.

use bytes::Bytes;
use futures::future::BoxFuture;
use minik_api::cri;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// Chunks that may wait on their way; a slow reader slows the writer down.
const QUEUE_LENGTH: usize = 16;

/// What a client was given a URL for.
#[derive(Clone, Debug, PartialEq)]
pub enum Session {
    /// A new process in a container.
    Exec(cri::ExecRequest),
    /// The container's own process.
    Attach(cri::AttachRequest),
    /// Ports of a pod.
    PortForward(cri::PortForwardRequest),
}

/// What runs the sessions: the containers of this node, or a test.
pub trait Backend: Send + Sync + 'static {
    /// Runs a command until it ends.
    fn exec(&self, request: cri::ExecRequest, streams: Streams) -> BoxFuture<'_, Outcome>;
    /// Follows a container's own process until it ends or the client is gone.
    fn attach(&self, request: cri::AttachRequest, streams: Streams) -> BoxFuture<'_, Outcome>;
    /// Connects to a port inside of a pod. An error is a sentence for the user.
    fn connect(&self, sandbox_id: &str, port: u16) -> BoxFuture<'_, Result<TcpStream, String>>;
}

/// The backend's end of an exec or attach session.
#[derive(Debug)]
pub struct Streams {
    /// What the user types; ends at the user's end of file. None if no stdin was asked for.
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    /// What goes to the user. Closed when the user is gone.
    pub output: mpsc::Sender<Output>,
    /// The size of the user's terminal, once it is known and whenever it changes.
    pub size: watch::Receiver<Option<TerminalSize>>,
}

/// The client's end of the same.
pub(super) struct ClientStreams {
    pub(super) stdin: Option<mpsc::Sender<Bytes>>,
    pub(super) output: mpsc::Receiver<Output>,
    pub(super) size: watch::Sender<Option<TerminalSize>>,
}

/// A chunk of what a process wrote, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To its standard output, or its terminal.
    Stdout(Bytes),
    /// To its standard error.
    Stderr(Bytes),
}

/// Columns and rows, as clients send it: `{"Width":80,"Height":24}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process ended with this code: 0 to 255, 128 and the signal's number if it was killed.
    Exited(i32),
    /// It couldn't be started or followed: a sentence for the user.
    Failed(String),
}

/// Which streams a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

impl Session {
    /// The streams of a command; none for ports.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        match self {
            // A terminal has one output: what is written to stderr comes out of stdout.
            Session::Exec(r) => Some(Wanted {
                stdin: r.stdin,
                stdout: r.stdout,
                stderr: r.stderr && !r.tty,
                tty: r.tty,
            }),
            Session::Attach(r) => Some(Wanted {
                stdin: r.stdin,
                stdout: r.stdout,
                stderr: r.stderr && !r.tty,
                tty: r.tty,
            }),
            Session::PortForward(_) => None,
        }
    }
}

/// Both ends of a command's channels.
pub(super) fn streams(wanted: Wanted) -> (ClientStreams, Streams) {
    let (to_stdin, stdin) = mpsc::channel(QUEUE_LENGTH);
    let (to_client, output) = mpsc::channel(QUEUE_LENGTH);
    let (resize, size) = watch::channel(None);
    let client = ClientStreams {
        stdin: wanted.stdin.then_some(to_stdin),
        output,
        size: resize,
    };
    (
        client,
        Streams {
            stdin: wanted.stdin.then_some(stdin),
            output: to_client,
            size,
        },
    )
}

/// Runs a command's session on the backend.
pub(super) async fn run(backend: &dyn Backend, session: Session, streams: Streams) -> Outcome {
    match session {
        Session::Exec(request) => backend.exec(request, streams).await,
        Session::Attach(request) => backend.attach(request, streams).await,
        Session::PortForward(_) => unreachable!("ports have no command: Session::wanted said so"),
    }
}
