//! The daemon's side: asynchronous requests to a shim.
//!
//! Each request has a connection of its own, so that a slow one holds up no other and an answer can't be another's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use oci_spec::runtime::Process;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::Exit;
use super::dial::Connection;
use super::protocol::{ContainerState, Fault, FaultKind, Request, Response, ShimEvent, Streams};
use crate::launch::executable::sealed;
use crate::sys::terminal;

/// What went wrong with a shim.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The shim's program could not be started.
    #[error("start {executable}: {source}")]
    Spawn {
        /// The program.
        executable: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shim has said why it doesn't come up.
    #[error("{0}")]
    NotReady(String),
    /// The shim isn't there.
    #[error("connect to {path}: {source}")]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("talk to the shim: {0}")]
    Socket(io::Error),
    /// The shim ended before it answered.
    #[error("the shim has ended")]
    Gone,
    /// Not what was expected.
    #[error("the shim's answer is not understood: {0}")]
    Protocol(String),
    /// The shim says no.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl ShimError {
    /// The kind of fault, when the shim itself refused.
    #[must_use]
    pub fn fault(&self) -> Option<FaultKind> {
        match self {
            Self::Fault(fault) => Some(fault.kind),
            _ => None,
        }
    }
}

/// A pod's shim.
#[derive(Debug, Clone)]
pub struct Shim {
    socket: PathBuf,
}

/// A container that has executed its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its first process, in the host's pid namespace.
    pub pid: i32,
    /// When, in nanoseconds since 1970.
    pub started_at_nanos: i64,
    /// What this host refused and was left out.
    pub notes: Vec<String>,
}

/// Where an exec's streams lead.
#[derive(Debug)]
pub enum ExecStdio {
    /// Descriptors that become its own; a missing one is /dev/null.
    Pipes {
        /// To read from.
        stdin: Option<OwnedFd>,
        /// To write to.
        stdout: Option<OwnedFd>,
        /// To write errors to.
        stderr: Option<OwnedFd>,
    },
    /// A terminal: `process.terminal` is set, and its master comes back.
    Terminal,
}

/// A process started in a running container.
#[derive(Debug)]
pub struct Exec {
    /// Its id in the host's pid namespace.
    pub pid: i32,
    /// Master of its terminal.
    pub pty: Option<OwnedFd>,
    /// Names it towards [`Shim::kill_exec`].
    pub id: String,
    connection: Connection,
}

impl Exec {
    /// Waits for its end.
    ///
    /// # Errors
    /// The shim ends first.
    pub async fn exit(&mut self) -> Result<Exit, ShimError> {
        match self.connection.response().await? {
            Response::Exited(exit) => Ok(exit),
            other => Err(unexpected(other)),
        }
    }

    /// Sets its terminal's size in characters.
    ///
    /// # Errors
    /// It has no terminal.
    pub fn resize(&self, width: u16, height: u16) -> Result<(), ShimError> {
        let none = || Fault::new(FaultKind::FailedPrecondition, "the process has no terminal");
        let pty = self.pty.as_ref().ok_or_else(none)?;
        terminal::resize(pty.as_fd(), width, height).map_err(|errno| ShimError::Socket(errno.into()))
    }
}

impl Shim {
    /// Starts `executable shim --sandbox DIRECTORY` and waits until it is ready. What runs is a read-only view of the
    /// executable, see [`crate::launch::executable`].
    ///
    /// # Errors
    /// It can't be started, or says why it doesn't come up.
    pub async fn spawn(executable: &Path, sandbox_dir: &Path) -> Result<Self, ShimError> {
        let failed = |source| ShimError::Spawn {
            executable: executable.to_owned(),
            source,
        };
        let sealed = sealed(executable).map_err(failed)?;
        let view = format!("/proc/self/fd/{}", sealed.as_raw_fd());
        let mut command = Command::new(view);
        command.arg0(executable).arg("shim").arg("--sandbox").arg(sandbox_dir);
        Self::spawn_command(&mut command, sandbox_dir).await
    }

    /// Starts a shim by a command of the caller's.
    ///
    /// # Errors
    /// As [`Shim::spawn`].
    pub async fn spawn_command(command: &mut Command, sandbox_dir: &Path) -> Result<Self, ShimError> {
        let executable = PathBuf::from(command.as_std().get_program());
        let failed = |source| ShimError::Spawn { executable, source };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(sandbox_dir.join("shim.log"));
        let spawned = log.and_then(|log| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(log)
                .current_dir("/")
                .kill_on_drop(false)
                .spawn()
        });
        let mut child = spawned.map_err(failed)?;
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let told = stdout.read_u8().await;
        if matches!(told, Ok(b'R')) {
            // Reaped when it ends, as long as this daemon lives; init does it later.
            tokio::spawn(async move { child.wait().await });
            return Self::connect(sandbox_dir).await;
        }
        let mut reason = String::new();
        let _ = stdout.read_to_string(&mut reason).await;
        let status = child.wait().await.map_err(ShimError::Socket)?;
        if reason.is_empty() {
            reason = format!(
                "the shim ended before it was ready ({status}); see {}/shim.log",
                sandbox_dir.display()
            );
        }
        Err(ShimError::NotReady(reason))
    }

    /// Finds the shim of a sandbox again.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(sandbox_dir: &Path) -> Result<Self, ShimError> {
        let shim = Self {
            socket: sandbox_dir.join("shim.sock"),
        };
        shim.open().await?;
        Ok(shim)
    }

    /// Launches the config.json of a bundle.
    ///
    /// # Errors
    /// [`Fault`] names the failed step.
    pub async fn start(&self, container_id: &str, bundle: &Path) -> Result<Started, ShimError> {
        let request = Request::Start {
            container_id: container_id.to_owned(),
            bundle: bundle.to_owned(),
            streams: Streams::default(),
        };
        started(self.ask(request).await?)
    }

    /// As [`Shim::start`], with a client that is attached before anything is written. The future is that of
    /// [`Shim::attach`].
    ///
    /// # Errors
    /// [`Fault`] names the failed step.
    pub async fn start_attached(
        &self,
        container_id: &str,
        bundle: &Path,
        stdin: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
    ) -> Result<(Started, impl Future<Output = Option<Exit>> + Send + use<>), ShimError> {
        let request = Request::Start {
            container_id: container_id.to_owned(),
            bundle: bundle.to_owned(),
            streams: announce(stdin.as_ref(), stdout.as_ref(), stderr.as_ref()),
        };
        let mut connection = self.open().await?;
        connection.send(request, &[stdin, stdout, stderr]).await?;
        let started = started(connection.response().await?)?;
        Ok((started, ending(connection)))
    }

    /// Runs one more process in a container.
    ///
    /// # Errors
    /// [`Fault`] names the failed step.
    pub async fn exec(&self, container_id: &str, process: Process, stdio: ExecStdio) -> Result<Exec, ShimError> {
        let id = uuid::Uuid::new_v4().to_string();
        let (stdin, stdout, stderr) = match stdio {
            ExecStdio::Pipes { stdin, stdout, stderr } => (stdin, stdout, stderr),
            ExecStdio::Terminal => (None, None, None),
        };
        let request = Request::Exec {
            container_id: container_id.to_owned(),
            exec_id: id.clone(),
            process: Box::new(process),
            streams: announce(stdin.as_ref(), stdout.as_ref(), stderr.as_ref()),
        };
        let mut connection = self.open().await?;
        connection.send(request, &[stdin, stdout, stderr]).await?;
        match connection.response().await? {
            Response::Started { pid, .. } => Ok(Exec {
                pid,
                pty: connection.descriptor(),
                id,
                connection,
            }),
            other => Err(unexpected(other)),
        }
    }

    /// Sends a signal to a container's first process, or to all of its processes.
    ///
    /// # Errors
    /// It has ended, or isn't known.
    pub async fn kill(&self, container_id: &str, signal: i32, all: bool) -> Result<(), ShimError> {
        self.done(Request::Kill {
            container_id: container_id.to_owned(),
            exec_id: None,
            signal,
            all,
        })
        .await
    }

    /// Sends a signal to an exec's process; `all` with SIGKILL reaches what it started, too.
    ///
    /// # Errors
    /// It has ended, or isn't known.
    pub async fn kill_exec(&self, container_id: &str, exec_id: &str, signal: i32, all: bool) -> Result<(), ShimError> {
        self.done(Request::Kill {
            container_id: container_id.to_owned(),
            exec_id: Some(exec_id.to_owned()),
            signal,
            all,
        })
        .await
    }

    /// Sets the size of a container's terminal in characters.
    ///
    /// # Errors
    /// It has none.
    pub async fn resize(&self, container_id: &str, width: u16, height: u16) -> Result<(), ShimError> {
        let container_id = container_id.to_owned();
        self.done(Request::Resize {
            container_id,
            width,
            height,
        })
        .await
    }

    /// Adds a client to a container's streams. The future that comes back ends with the container, or when the client is
    /// let go because it doesn't read.
    ///
    /// # Errors
    /// The container isn't running.
    pub async fn attach(
        &self,
        container_id: &str,
        stdin: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
    ) -> Result<impl Future<Output = Option<Exit>> + Send + use<>, ShimError> {
        let request = Request::Attach {
            container_id: container_id.to_owned(),
            streams: announce(stdin.as_ref(), stdout.as_ref(), stderr.as_ref()),
        };
        let mut connection = self.open().await?;
        connection.send(request, &[stdin, stdout, stderr]).await?;
        match connection.response().await? {
            Response::Done => Ok(ending(connection)),
            other => Err(unexpected(other)),
        }
    }

    /// Opens a container's log file anew, after it was renamed.
    ///
    /// # Errors
    /// The file can't be opened.
    pub async fn reopen_log(&self, container_id: &str) -> Result<(), ShimError> {
        let container_id = container_id.to_owned();
        self.done(Request::ReopenLog { container_id }).await
    }

    /// Forgets a container that has ended.
    ///
    /// # Errors
    /// It is running.
    pub async fn forget(&self, container_id: &str) -> Result<(), ShimError> {
        let container_id = container_id.to_owned();
        self.done(Request::Forget { container_id }).await
    }

    /// All containers that have executed, those that have ended included.
    ///
    /// # Errors
    /// The shim is gone.
    pub async fn state(&self) -> Result<Vec<ContainerState>, ShimError> {
        match self.ask(Request::State).await? {
            Response::State(containers) => Ok(containers),
            other => Err(unexpected(other)),
        }
    }

    /// Connects to a port in the pod's network namespace, on its localhost. The socket is non-blocking.
    ///
    /// # Errors
    /// Nothing listens there.
    pub async fn connect_port(&self, port: u16) -> Result<OwnedFd, ShimError> {
        let mut connection = self.open().await?;
        connection.send(Request::ConnectPort { port }, &[]).await?;
        match connection.response().await? {
            Response::Done => connection
                .descriptor()
                .ok_or_else(|| ShimError::Protocol("no descriptor".to_owned())),
            other => Err(unexpected(other)),
        }
    }

    /// Subscribes to what happens from now on; the state at this moment comes along.
    ///
    /// # Errors
    /// The shim is gone.
    pub async fn events(&self) -> Result<(Vec<ContainerState>, Events), ShimError> {
        let mut connection = self.open().await?;
        connection.send(Request::Subscribe, &[]).await?;
        match connection.response().await? {
            Response::State(containers) => Ok((
                containers,
                Events {
                    connection: Some(connection),
                },
            )),
            other => Err(unexpected(other)),
        }
    }

    /// Kills what runs, gives everything back and ends the shim.
    ///
    /// # Errors
    /// The shim is gone.
    pub async fn shutdown(&self) -> Result<(), ShimError> {
        self.done(Request::Shutdown).await
    }

    async fn done(&self, request: Request) -> Result<(), ShimError> {
        match self.ask(request).await? {
            Response::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Response, ShimError> {
        let mut connection = self.open().await?;
        connection.send(request, &[]).await?;
        connection.response().await
    }

    async fn open(&self) -> Result<Connection, ShimError> {
        Connection::open(&self.socket).await
    }
}

/// What a shim tells.
#[derive(Debug)]
pub struct Events {
    connection: Option<Connection>,
}

impl Events {
    /// The next event; [`ShimEvent::Gone`] when the shim has ended, and then none.
    pub async fn next(&mut self) -> Option<ShimEvent> {
        let connection = self.connection.as_mut()?;
        match connection.response().await {
            Ok(Response::Event(event)) => Some(event),
            _ => {
                self.connection = None;
                Some(ShimEvent::Gone)
            }
        }
    }
}

fn announce(stdin: Option<&OwnedFd>, stdout: Option<&OwnedFd>, stderr: Option<&OwnedFd>) -> Streams {
    Streams {
        stdin: stdin.is_some(),
        stdout: stdout.is_some(),
        stderr: stderr.is_some(),
    }
}

fn started(response: Response) -> Result<Started, ShimError> {
    match response {
        Response::Started {
            pid,
            started_at_nanos,
            notes,
        } => Ok(Started {
            pid,
            started_at_nanos,
            notes,
        }),
        other => Err(unexpected(other)),
    }
}

/// The end of a container that a client is attached to; none when it was let go before.
async fn ending(mut connection: Connection) -> Option<Exit> {
    match connection.response().await {
        Ok(Response::Exited(exit)) => Some(exit),
        _ => None,
    }
}

fn unexpected(response: Response) -> ShimError {
    ShimError::Protocol(format!("{response:?}"))
}
