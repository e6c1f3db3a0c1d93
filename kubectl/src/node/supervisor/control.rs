//! The supervisor's socket, both ends: one JSON request a connection, then JSON messages, one a line.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::Input;
use crate::node::instance::Instance;

/// What a client can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) enum Request {
    /// One [`Message::Status`].
    Status,
    /// Each program's [`Message::Phase`]s since its last start, then those to come.
    Follow,
    /// Stop all programs; phases as with `Follow`, then [`Message::Stopped`].
    Stop,
}

/// What the supervisor answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::node) enum Message {
    Status(Box<Status>),
    Phase(Phase),
    Stopped,
}

/// A step in the life of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Phase {
    pub(in crate::node) program: String,
    /// Since the supervisor began.
    pub(in crate::node) at_millis: u64,
    pub(in crate::node) what: What,
}

/// Which step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) enum What {
    Started {
        pid: u32,
    },
    Ready {
        took_millis: u64,
    },
    Failed {
        reason: String,
        failures: u32,
        retry_millis: u64,
    },
    Stopped,
}

/// How the node's processes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::node) struct Status {
    pub(in crate::node) pid: u32,
    pub(in crate::node) uptime_millis: u64,
    pub(in crate::node) version: String,
    pub(in crate::node) instance: Instance,
    pub(in crate::node) programs: Vec<ProgramStatus>,
}

/// How one program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct ProgramStatus {
    pub(in crate::node) name: String,
    pub(in crate::node) state: String,
    pub(in crate::node) pid: Option<u32>,
    pub(in crate::node) uptime_millis: Option<u64>,
    pub(in crate::node) restarts: u32,
    pub(in crate::node) last_failure: Option<String>,
}

/// A client's connection.
pub(in crate::node) struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Held open: the supervisor takes a closed connection as a client that has left.
    _writer: tokio::net::unix::OwnedWriteHalf,
}

impl Connection {
    /// Asks; none when no supervisor listens there.
    pub(in crate::node) async fn open(socket: &Path, request: Request) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        Ok(Some(Self {
            lines: BufReader::new(reader).lines(),
            _writer: writer,
        }))
    }

    /// The next message; none when the supervisor has ended.
    pub(in crate::node) async fn next(&mut self) -> io::Result<Option<Message>> {
        match self.lines.next_line().await? {
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
            None => Ok(None),
        }
    }
}

/// The supervisor's status; none when there is no supervisor.
pub(in crate::node) async fn status(socket: &Path) -> io::Result<Option<Status>> {
    let Some(mut connection) = Connection::open(socket, Request::Status).await? else {
        return Ok(None);
    };
    while let Some(message) = connection.next().await? {
        if let Message::Status(status) = message {
            return Ok(Some(*status));
        }
    }
    Ok(None)
}

/// Accepts clients from now on. Only root can connect.
pub(super) fn listen(socket: &Path, inputs: mpsc::UnboundedSender<Input>) -> io::Result<()> {
    // Whoever left it is gone: this process holds the instance's lock.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let inputs = inputs.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, inputs).await {
                    tracing::debug!(%error, "a client left");
                }
            });
        }
    });
    Ok(())
}

async fn serve(stream: UnixStream, inputs: mpsc::UnboundedSender<Input>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let Some(line) = lines.next_line().await? else {
        return Ok(());
    };
    let request: Request = serde_json::from_str(&line)?;
    let (answer, mut messages) = mpsc::unbounded_channel();
    if inputs.send(Input::Client(request, answer)).is_err() {
        return Ok(());
    }
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return Ok(()) };
                let mut line = serde_json::to_vec(&message)?;
                line.push(b'\n');
                writer.write_all(&line).await?;
            }
            // Nothing more is asked on a connection, so anything that can be read is its end.
            _ = lines.next_line() => return Ok(()),
        }
    }
}
