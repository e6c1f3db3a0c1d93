//! A client joined with a process: what it starts, executes or attaches to, with input, output and the terminal's size.
//!
//! ```text
//!   client's messages ─> feed ─> stdin, size ─┐
//!                                             ├─ the pipes and terminals that the CRI's sessions use
//!   client <─ messages <─ output ─────────────┘
//! ```
//! What is started goes on when its client goes away.

use std::sync::Arc;

use bytes::Bytes;
use minik_api::containers::input::What as Asked;
use minik_api::containers::output::What as Told;
use minik_api::containers::{Attach, Exec, Exited, Input, Output, Start, Started};
use oci_spec::runtime::Process;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use super::RunningExec;
use super::lookup;
use super::record::CtrRecord;
use super::task::{self, Ends};
use crate::cri::{
    Answer, SessionError, attach_to, exec_process, following_size, input, on_pipes, on_terminal, output_pipe,
    shim_failed, to_the_end,
};
use crate::daemon::Daemon;
use crate::images::error::chain;
use crate::shim::{self, ExecStdio, ShimError};
use crate::state::Entry;
use crate::streaming::{Output as Piece, Streams, TerminalSize};

/// Messages that may wait on their way; a slow reader slows the writer down.
const QUEUE_LENGTH: usize = 16;

pub(super) type Sender = mpsc::Sender<Result<Output, Status>>;

/// Does what the first message asks for. Errors are the stream's last message.
pub(super) async fn join(daemon: Arc<Daemon>, asked: Asked, inputs: Streaming<Input>, sender: Sender) {
    let joined = match asked {
        Asked::Start(asked) => start(&daemon, asked, inputs, &sender).await,
        Asked::Exec(asked) => exec(&daemon, asked, inputs, &sender).await,
        Asked::Attach(asked) => attach(&daemon, &asked, inputs, &sender).await,
        Asked::Stdin(_) | Asked::Size(_) => Err(Status::invalid_argument(
            "the first message says what to join: start, exec or attach",
        )),
    };
    let last = match joined {
        Ok(Some(code)) => Ok(message(Told::Exited(Exited {
            code: code.unsigned_abs(),
        }))),
        // Detached.
        Ok(None) => return,
        Err(status) => Err(status),
    };
    let _ = sender.send(last).await;
}

async fn start(daemon: &Arc<Daemon>, asked: Start, inputs: Streaming<Input>, sender: &Sender) -> Answer<Option<i32>> {
    let namespace = lookup::namespace(&asked.namespace)?;
    super::create::refuse_pods(namespace)?;
    let entry = lookup::own(daemon, namespace, &asked.id)?;
    let terminal = entry.peek(CtrRecord::terminal);
    if asked.detach {
        let started = starting(daemon, &entry, None).await?;
        tell(sender, started.pid, terminal).await;
        return Ok(None);
    }
    let (streams, passing) = streams(inputs, sender.clone());
    let (stdin_fd, stdin) = input(&streams).map_err(pipe)?;
    let (stdout_fd, stdout) = output_pipe().map_err(pipe)?;
    let (stderr_fd, stderr) = if terminal {
        (None, None)
    } else {
        output_pipe()
            .map(|(fd, reader)| (Some(fd), Some(reader)))
            .map_err(pipe)?
    };
    let ends = Ends {
        stdin: stdin_fd,
        stdout: stdout_fd,
        stderr: stderr_fd,
    };
    let started = starting(daemon, &entry, Some(ends)).await?;
    tell(sender, started.pid, terminal).await;
    let id = entry.peek(|record| record.id.clone());
    let size = streams.size.clone();
    let ended = async { started.ended.await.ok_or(ShimError::Gone) };
    let session = on_pipes(stdin, stdout, stderr, streams, ended);
    let code = following_size(&started.shim, &id, terminal, size, session).await;
    passed(passing).await;
    let code = code.map_err(|error| failed(&error))?;
    // Whoever is told of the end may delete the task at once.
    entry.wait_for(|record| !record.is_running()).await;
    Ok(Some(code))
}

/// A start ends even if its client doesn't wait for it.
async fn starting(daemon: &Arc<Daemon>, entry: &Arc<Entry<CtrRecord>>, ends: Option<Ends>) -> Answer<task::Started> {
    let (daemon, entry) = (Arc::clone(daemon), Arc::clone(entry));
    to_the_end(async move { task::start(&daemon, &entry, ends).await }).await
}

async fn exec(daemon: &Arc<Daemon>, asked: Exec, inputs: Streaming<Input>, sender: &Sender) -> Answer<Option<i32>> {
    let namespace = lookup::namespace(&asked.namespace)?;
    let running = lookup::running(daemon, namespace, &asked.id)?;
    let key = (running.id.clone(), asked.exec_id.clone());
    if daemon.ctr.execs().contains_key(&key) {
        return Err(Status::already_exists(format!("id {}: already exists", asked.exec_id)));
    }
    let process = process(daemon, &running.id, &asked)?;
    let (streams, passing) = if asked.detach {
        (None, None)
    } else {
        let (streams, passing) = streams(inputs, sender.clone());
        (Some(streams), Some(passing))
    };
    let (stdin_fd, stdin) = match &streams {
        Some(streams) => input(streams).map_err(pipe)?,
        None => (None, None),
    };
    let (stdio, outputs) = if asked.terminal {
        (ExecStdio::Terminal, None)
    } else if asked.detach {
        let nowhere = ExecStdio::Pipes {
            stdin: None,
            stdout: None,
            stderr: None,
        };
        (nowhere, None)
    } else {
        let (stdout_fd, stdout) = output_pipe().map_err(pipe)?;
        let (stderr_fd, stderr) = output_pipe().map_err(pipe)?;
        let pipes = ExecStdio::Pipes {
            stdin: stdin_fd,
            stdout: Some(stdout_fd),
            stderr: Some(stderr_fd),
        };
        (pipes, Some((stdout, stderr)))
    };
    let launched = running.shim.exec(&running.id, process, stdio).await;
    let mut exec = launched.map_err(|error| shim_failed(&error, "exec in task", &asked.id))?;
    tell(sender, exec.pid, asked.terminal).await;
    let named = Named::new(daemon, key, &exec);
    let pty = exec.pty.take();
    let ended = async move {
        let exit = exec.exit().await;
        drop(named);
        exit
    };
    let Some(streams) = streams else {
        // Its name is known until it ends.
        tokio::spawn(async move { (pty, ended.await) });
        return Ok(None);
    };
    let code = match (pty, outputs) {
        (Some(pty), _) => on_terminal(pty, streams, ended).await,
        (None, Some((stdout, stderr))) => on_pipes(stdin, stdout, Some(stderr), streams, ended).await,
        (None, None) => return Err(Status::unknown("the shim returned no terminal")),
    };
    if let Some(passing) = passing {
        passed(passing).await;
    }
    code.map(Some).map_err(|error| failed(&error))
}

async fn attach(
    daemon: &Arc<Daemon>,
    asked: &Attach,
    inputs: Streaming<Input>,
    sender: &Sender,
) -> Answer<Option<i32>> {
    let namespace = lookup::namespace(&asked.namespace)?;
    let running = lookup::running(daemon, namespace, &asked.id)?;
    tell(sender, running.pid, running.terminal).await;
    let (streams, passing) = streams(inputs, sender.clone());
    let code = attach_to(&running.shim, &running.id, running.terminal, streams).await;
    passed(passing).await;
    let code = code.map_err(|error| failed(&error))?;
    if let Some(entry) = lookup::find(daemon, namespace, &asked.id) {
        entry.wait_for(|record| !record.is_running()).await;
    }
    Ok(Some(code))
}

/// A process like the container's own, with another command.
fn process(daemon: &Daemon, id: &str, asked: &Exec) -> Answer<Process> {
    let mut process = exec_process(daemon, id, asked.args.clone(), asked.terminal)?;
    if !asked.cwd.is_empty() {
        process.set_cwd(asked.cwd.clone().into());
    }
    if !asked.user.is_empty() {
        let (user, group) = asked.user.split_once(':').unwrap_or((&asked.user, "0"));
        let number = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| Status::invalid_argument(format!("user {:?}: write numbers, UID or UID:GID", asked.user)))
        };
        let mut own = process.user().clone();
        own.set_uid(number(user)?)
            .set_gid(number(group)?)
            .set_additional_gids(None);
        process.set_user(own);
    }
    Ok(process)
}

/// An exec's name, known for as long as it runs.
struct Named {
    daemon: Arc<Daemon>,
    key: (String, String),
}

impl Named {
    fn new(daemon: &Arc<Daemon>, key: (String, String), exec: &shim::Exec) -> Named {
        let running = RunningExec {
            shim_id: exec.id.clone(),
            pid: exec.pid,
        };
        daemon.ctr.execs().insert(key.clone(), running);
        Named {
            daemon: Arc::clone(daemon),
            key,
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.daemon.ctr.execs().remove(&self.key);
    }
}

/// The process's end of a client's messages, and the task that ends when all output has been sent.
fn streams(inputs: Streaming<Input>, sender: Sender) -> (Streams, JoinHandle<()>) {
    let (typed, stdin) = mpsc::channel(QUEUE_LENGTH);
    let (sizes, size) = watch::channel(None);
    let (output, pieces) = mpsc::channel(QUEUE_LENGTH);
    tokio::spawn(feed(inputs, typed, sizes));
    let passing = tokio::spawn(pass_on(pieces, sender));
    let streams = Streams {
        stdin: Some(stdin),
        output,
        size,
    };
    (streams, passing)
}

/// The end of the client's stream is the process's end of file.
async fn feed(mut inputs: Streaming<Input>, typed: mpsc::Sender<Bytes>, sizes: watch::Sender<Option<TerminalSize>>) {
    while let Ok(Some(input)) = inputs.message().await {
        match input.what {
            Some(Asked::Stdin(data)) => {
                // A process that reads no more still wants to know the terminal's size.
                let _ = typed.send(data.into()).await;
            }
            Some(Asked::Size(size)) => {
                let side = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
                let size = TerminalSize {
                    width: side(size.width),
                    height: side(size.height),
                };
                sizes.send_replace(Some(size));
            }
            _ => return,
        }
    }
}

async fn pass_on(mut pieces: mpsc::Receiver<Piece>, sender: Sender) {
    while let Some(piece) = pieces.recv().await {
        let told = match piece {
            Piece::Stdout(bytes) => Told::Stdout(bytes.into()),
            Piece::Stderr(bytes) => Told::Stderr(bytes.into()),
        };
        if sender.send(Ok(message(told))).await.is_err() {
            return;
        }
    }
}

/// Waits until all output is on its way to the client: the end is told after it.
async fn passed(passing: JoinHandle<()>) {
    passing.await.expect("passing output on doesn't panic");
}

async fn tell(sender: &Sender, pid: i32, terminal: bool) {
    let started = Started {
        pid: pid.unsigned_abs(),
        terminal,
    };
    let _ = sender.send(Ok(message(Told::Started(started)))).await;
}

fn message(told: Told) -> Output {
    Output { what: Some(told) }
}

fn pipe(error: std::io::Error) -> Status {
    Status::unknown(format!("make a pipe: {error}"))
}

fn failed(error: &SessionError) -> Status {
    Status::unknown(chain(error))
}
