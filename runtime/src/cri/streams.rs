//! What runs streaming sessions: commands and terminals by the shim, ports by its sockets in the pod's network.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use minik_api::cri;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use oci_spec::runtime::{Box as ConsoleSize, BoxBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use super::exec;
use super::start;
use crate::daemon::Daemon;
use crate::images::error::chain;
use crate::shim::{ExecStdio, Exit, Shim, ShimError};
use crate::streaming::{Backend, Outcome, Output, Streams, TerminalSize};
use crate::sys::terminal;

const CHUNK_LENGTH: usize = 16 * 1024;
/// kubectl sends its terminal's size as soon as it is connected; the way from there takes a millisecond or two.
const FIRST_SIZE_WITHIN: Duration = Duration::from_millis(100);

/// The containers of this node, as the streaming server sees them.
pub(crate) struct ContainerStreams {
    daemon: Arc<Daemon>,
}

impl ContainerStreams {
    pub(crate) fn new(daemon: Arc<Daemon>) -> ContainerStreams {
        ContainerStreams { daemon }
    }
}

impl Backend for ContainerStreams {
    fn exec(&self, request: cri::ExecRequest, streams: Streams) -> BoxFuture<'_, Outcome> {
        async move { outcome(run(&self.daemon, request, streams).await) }.boxed()
    }

    fn attach(&self, request: cri::AttachRequest, streams: Streams) -> BoxFuture<'_, Outcome> {
        async move { outcome(attach(&self.daemon, request, streams).await) }.boxed()
    }

    fn connect(&self, sandbox_id: &str, port: u16) -> BoxFuture<'_, Result<TcpStream, String>> {
        let connected = connect(Arc::clone(&self.daemon), sandbox_id.to_owned(), port);
        async move { connected.await.map_err(|error| error.to_string()) }.boxed()
    }
}

/// Why a session couldn't be; its text is for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("{0}")]
    NotThere(String),
    #[error("{}", chain(.0))]
    Shim(ShimError),
    #[error("failed to connect to localhost:{port} inside of pod {sandbox_id}: {}", chain(.source))]
    Connect {
        port: u16,
        sandbox_id: String,
        source: ShimError,
    },
    #[error(
        "failed to connect to localhost:{port} inside of the pod: {source}; check that a process there listens on this port"
    )]
    Refused { port: u16, source: io::Error },
    #[error("make a pipe: {0}")]
    Pipe(#[from] io::Error),
}

impl From<tonic::Status> for SessionError {
    fn from(status: tonic::Status) -> SessionError {
        SessionError::NotThere(status.message().to_owned())
    }
}

fn outcome(ended: Result<i32, SessionError>) -> Outcome {
    match ended {
        Ok(code) => Outcome::Exited(code),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn run(daemon: &Daemon, request: cri::ExecRequest, mut streams: Streams) -> Result<i32, SessionError> {
    let record = exec::running(daemon, &request.container_id)?;
    let shim = start::shim(daemon, &record.sandbox_id)?;
    let mut process = exec::process(daemon, &record.id, request.cmd, request.tty)?;
    if request.tty {
        process.set_console_size(first_size(&mut streams.size).await);
        let mut exec = shim
            .exec(&record.id, process, ExecStdio::Terminal)
            .await
            .map_err(SessionError::Shim)?;
        let pty = exec
            .pty
            .take()
            .ok_or_else(|| SessionError::NotThere("the shim returned no terminal".to_owned()))?;
        let exit = async move { exec.exit().await };
        return on_terminal(pty, streams, exit).await;
    }
    let (stdin_fd, stdin) = input(&streams)?;
    let (stdout_fd, stdout) = exec::output_pipe()?;
    let (stderr_fd, stderr) = exec::output_pipe()?;
    let stdio = ExecStdio::Pipes {
        stdin: stdin_fd,
        stdout: Some(stdout_fd),
        stderr: Some(stderr_fd),
    };
    let mut exec = shim
        .exec(&record.id, process, stdio)
        .await
        .map_err(SessionError::Shim)?;
    let exit = async move { exec.exit().await };
    on_pipes(stdin, stdout, Some(stderr), streams, exit).await
}

/// A pipe for the process to read from, if the user types.
pub(crate) fn input(streams: &Streams) -> io::Result<(Option<OwnedFd>, Option<pipe::Sender>)> {
    if streams.stdin.is_none() {
        return Ok((None, None));
    }
    let (fd, sender) = exec::input_pipe()?;
    Ok((Some(fd), Some(sender)))
}

pub(crate) async fn on_pipes(
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    streams: Streams,
    exit: impl Future<Output = Result<Exit, ShimError>>,
) -> Result<i32, SessionError> {
    let Streams {
        stdin: typed, output, ..
    } = streams;
    let (mut out, mut err) = (
        Source::new(stdout, Output::Stdout),
        stderr.map(|fd| Source::new(fd, Output::Stderr)),
    );
    let exit = {
        let pumping = async {
            let errors = async {
                if let Some(err) = &mut err {
                    err.pump(&output).await;
                }
            };
            tokio::join!(write_input(typed, stdin), out.pump(&output), errors);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            exit = exit => exit.map_err(SessionError::Shim)?,
            () = pumping => unreachable!("pumping goes on until the process ends"),
        }
    };
    // What it wrote last is still in the pipes; those that it left behind aren't waited for.
    out.flush(&output).await;
    if let Some(err) = &mut err {
        err.flush(&output).await;
    }
    Ok(exit.code)
}

pub(crate) async fn on_terminal(
    pty: OwnedFd,
    streams: Streams,
    exit: impl Future<Output = Result<Exit, ShimError>>,
) -> Result<i32, SessionError> {
    let Streams {
        stdin: typed,
        output,
        mut size,
    } = streams;
    size.mark_changed();
    set_nonblocking(&pty)?;
    // Reading and writing wait for different things, so each has its own descriptor.
    let reader = pipe::Receiver::from_owned_fd_unchecked(pty.try_clone()?)?;
    let writer = pipe::Sender::from_owned_fd_unchecked(pty.try_clone()?)?;
    let mut screen = Source::new(reader, Output::Stdout);
    let exit = {
        let pumping = async {
            let resizing = async {
                while let Some(size) = next_size(&mut size).await {
                    let _ = terminal::resize(pty.as_fd(), size.width, size.height);
                }
            };
            tokio::join!(write_input(typed, Some(writer)), screen.pump(&output), resizing);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            exit = exit => exit.map_err(SessionError::Shim)?,
            () = pumping => unreachable!("pumping goes on until the process ends"),
        }
    };
    screen.flush(&output).await;
    Ok(exit.code)
}

async fn attach(daemon: &Daemon, request: cri::AttachRequest, streams: Streams) -> Result<i32, SessionError> {
    let record = exec::running(daemon, &request.container_id)?;
    let shim = start::shim(daemon, &record.sandbox_id)?;
    let ended = attach_to(&shim, &record.id, request.tty, streams).await;
    // The user followed someone else's process: that it failed isn't the session's failure.
    ended.map(|_| 0)
}

/// Joins a user with a container's own process; gives its exit code.
pub(crate) async fn attach_to(shim: &Shim, id: &str, tty: bool, streams: Streams) -> Result<i32, SessionError> {
    let (stdin_fd, stdin) = input(&streams)?;
    let (stdout_fd, stdout) = exec::output_pipe()?;
    let (stderr_fd, stderr) = if tty {
        (None, None)
    } else {
        exec::output_pipe().map(|(a, b)| (Some(a), Some(b)))?
    };
    let attached = shim
        .attach(id, stdin_fd, Some(stdout_fd), stderr_fd)
        .await
        .map_err(SessionError::Shim)?;
    let ended = async { attached.await.ok_or(ShimError::Gone) };
    following_size(
        shim,
        id,
        tty,
        streams.size.clone(),
        on_pipes(stdin, stdout, stderr, streams, ended),
    )
    .await
}

/// Passes the size of the user's terminal on for as long as the session goes on.
pub(crate) async fn following_size(
    shim: &Shim,
    id: &str,
    tty: bool,
    mut size: watch::Receiver<Option<TerminalSize>>,
    session: impl Future<Output = Result<i32, SessionError>>,
) -> Result<i32, SessionError> {
    size.mark_changed();
    let resizing = async {
        while let Some(size) = next_size(&mut size).await {
            if tty {
                let _ = shim.resize(id, size.width, size.height).await;
            }
        }
    };
    tokio::pin!(resizing, session);
    tokio::select! {
        ended = &mut session => ended,
        () = &mut resizing => session.await,
    }
}

async fn connect(daemon: Arc<Daemon>, sandbox_id: String, port: u16) -> Result<TcpStream, SessionError> {
    let id = daemon
        .sandboxes
        .find(&sandbox_id)
        .map_err(|error| SessionError::NotThere(error.to_string()))?;
    let id = id.peek(|record| record.id.clone());
    let socket = start::shim(&daemon, &id)?.connect_port(port).await;
    let socket = socket.map_err(|source| SessionError::Connect {
        port,
        sandbox_id,
        source,
    })?;
    let stream = TcpStream::from_std(StdTcpStream::from(socket))?;
    // It may still be connecting.
    stream.writable().await?;
    let _ = stream.set_nodelay(true);
    match stream.take_error()? {
        None => Ok(stream),
        Some(source) => Err(SessionError::Refused { port, source }),
    }
}

async fn write_input(typed: Option<mpsc::Receiver<Bytes>>, writer: Option<pipe::Sender>) {
    let (Some(mut typed), Some(mut writer)) = (typed, writer) else {
        return;
    };
    while let Some(data) = typed.recv().await {
        if writer.write_all(&data).await.is_err() {
            // The process closed its stdin; what the user still types goes nowhere.
            return;
        }
    }
    // The user's end of file becomes the process's: the writer is dropped.
}

/// The size that a client sends ahead of everything else, so that the process finds it when it first looks. Clients that have
/// none to send don't get to wait for long.
async fn first_size(size: &mut watch::Receiver<Option<TerminalSize>>) -> Option<ConsoleSize> {
    let known = tokio::time::timeout(FIRST_SIZE_WITHIN, size.wait_for(Option::is_some)).await;
    let size = (*known.ok()?.ok()?)?;
    let built = BoxBuilder::default()
        .width(u64::from(size.width))
        .height(u64::from(size.height))
        .build();
    Some(built.expect("all fields are set"))
}

/// The terminal's next size; the first one at once if it is known. None when the user is gone.
pub(crate) async fn next_size(size: &mut watch::Receiver<Option<TerminalSize>>) -> Option<TerminalSize> {
    loop {
        size.changed().await.ok()?;
        if let Some(size) = *size.borrow_and_update() {
            return Some(size);
        }
    }
}

/// Where a process's output comes from, and what it is called for the user.
struct Source {
    reader: pipe::Receiver,
    kind: fn(Bytes) -> Output,
}

impl Source {
    fn new(reader: pipe::Receiver, kind: fn(Bytes) -> Output) -> Source {
        Source { reader, kind }
    }

    /// Passes output on until there is no more, or nobody for it. A terminal whose other end is closed says EIO.
    async fn pump(&mut self, output: &mpsc::Sender<Output>) {
        let mut chunk = [0; CHUNK_LENGTH];
        while let Ok(length @ 1..) = self.reader.read(&mut chunk).await {
            if output
                .send((self.kind)(Bytes::copy_from_slice(&chunk[..length])))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Passes on what is there.
    async fn flush(&mut self, output: &mpsc::Sender<Output>) {
        let mut rest = Vec::new();
        exec::drain(&self.reader, |chunk| rest.extend_from_slice(chunk));
        if !rest.is_empty() {
            let _ = output.send((self.kind)(Bytes::from(rest))).await;
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
