//! ExecSync: a command in a running container, its output and exit code in one answer. Probes and hooks use it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use minik_api::cri;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use oci_spec::runtime::{Process, Spec};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use tonic::Status;

use super::answer::{Answer, shim_failed};
use super::start;
use crate::daemon::Daemon;
use crate::oci::exec_process;
use crate::shim::{Exec, ExecStdio, Exit, ShimError};
use crate::state::ContainerRecord;

/// Output beyond this is read and dropped, as containerd does: the answer has to fit into one message.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;
const CHUNK_LENGTH: usize = 16 * 1024;

pub(super) async fn exec_sync(daemon: Arc<Daemon>, request: cri::ExecSyncRequest) -> Answer<cri::ExecSyncResponse> {
    let record = running(&daemon, &request.container_id)?;
    let shim = start::shim(&daemon, &record.sandbox_id)?;
    let process = process(&daemon, &record.id, request.cmd.clone(), false)?;
    let system = |error: io::Error| Status::unknown(format!("make a pipe for a command: {error}"));
    let (stdout_fd, mut stdout) = output_pipe().map_err(system)?;
    let (stderr_fd, mut stderr) = output_pipe().map_err(system)?;
    let stdio = ExecStdio::Pipes {
        stdin: None,
        stdout: Some(stdout_fd),
        stderr: Some(stderr_fd),
    };
    let failed = |error: ShimError| shim_failed(&error, "run a command in container", &record.id);
    let mut exec = shim.exec(&record.id, process, stdio).await.map_err(failed)?;

    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ending = collect(&mut exec, (&mut stdout, &mut out), (&mut stderr, &mut err));
    let ended = match u64::try_from(request.timeout).unwrap_or_default() {
        0 => Some(ending.await),
        seconds => timeout(Duration::from_secs(seconds), ending).await.ok(),
    };
    match ended {
        Some(exit) => {
            let exit_code = exit.map_err(failed)?.code;
            Ok(cri::ExecSyncResponse {
                stdout: out,
                stderr: err,
                exit_code,
            })
        }
        None => {
            // It may end in this moment.
            let _ = shim.kill_exec(&record.id, &exec.id, Signal::SIGKILL as i32, true).await;
            let text = format!("command {:?} timed out after {} s", request.cmd, request.timeout);
            Err(Status::deadline_exceeded(text))
        }
    }
}

/// Reads both outputs until the command ends. What it wrote is in the pipes then; processes that it left behind may hold
/// them open for ever, and aren't waited for.
async fn collect(
    exec: &mut Exec,
    (stdout, out): (&mut pipe::Receiver, &mut Vec<u8>),
    (stderr, err): (&mut pipe::Receiver, &mut Vec<u8>),
) -> Result<Exit, ShimError> {
    let exit = {
        let reading = async {
            tokio::join!(read_bounded(stdout, out), read_bounded(stderr, err));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            exit = exec.exit() => exit,
            () = reading => unreachable!("reading goes on until the command ends"),
        }
    };
    for (reader, bytes) in [(stdout, out), (stderr, err)] {
        drain(reader, |chunk| keep(bytes, chunk));
    }
    exit
}

async fn read_bounded(reader: &mut pipe::Receiver, bytes: &mut Vec<u8>) {
    let mut chunk = [0; CHUNK_LENGTH];
    while let Ok(length @ 1..) = reader.read(&mut chunk).await {
        keep(bytes, &chunk[..length]);
    }
}

fn keep(bytes: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT_LIMIT - bytes.len();
    bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
}

/// Takes what is there without waiting for more.
pub(super) fn drain(reader: &impl AsFd, mut take: impl FnMut(&[u8])) {
    let mut chunk = [0; CHUNK_LENGTH];
    loop {
        match nix::unistd::read(reader.as_fd(), &mut chunk) {
            Ok(length @ 1..) => take(&chunk[..length]),
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

/// A pipe for a command to write to: its end, and ours.
pub(crate) fn output_pipe() -> io::Result<(OwnedFd, pipe::Receiver)> {
    let (sender, receiver) = pipe::pipe()?;
    // Programs expect their standard streams to wait.
    Ok((sender.into_blocking_fd()?, receiver))
}

/// A pipe for a command to read from: its end, and ours.
pub(super) fn input_pipe() -> io::Result<(OwnedFd, pipe::Sender)> {
    let (sender, receiver) = pipe::pipe()?;
    Ok((receiver.into_blocking_fd()?, sender))
}

/// The record of a container that runs.
pub(super) fn running(daemon: &Daemon, id: &str) -> Answer<ContainerRecord> {
    let record = daemon.containers.find(id)?.get();
    if record.phase.is_running() {
        return Ok(record);
    }
    let state = record.phase.state().as_str_name();
    Err(Status::failed_precondition(format!(
        "container {id:?} isn't running, it is {state}"
    )))
}

/// A process like the container's own, with another command.
pub(crate) fn process(daemon: &Daemon, id: &str, command: Vec<String>, tty: bool) -> Answer<Process> {
    if command.is_empty() {
        return Err(Status::invalid_argument("no command to run"));
    }
    let path = daemon.bundle(id).join("config.json");
    let unreadable = |error: &dyn std::fmt::Display| Status::unknown(format!("read {}: {error}", path.display()));
    let spec = Spec::load(&path).map_err(|error| unreadable(&error))?;
    Ok(exec_process(&spec, command, tty))
}
