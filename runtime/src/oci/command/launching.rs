//! What the child reports on its way, and what this side does about it: hooks, the terminal, the agent that listens to
//! filtered system calls.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use super::CommandError;
use super::log::Log;
use crate::launch::report::{Message, Received, go_on, receive};
use crate::oci::State;
use crate::sys::descriptors;

/// How far the child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It waits at its door.
    Created,
    /// It is the container's command.
    Executed,
}

/// What to do about reports.
pub(super) struct Answers<'a> {
    pub(super) log: &'a Log,
    /// Where the terminal's master goes; it is kept when nobody is named.
    pub(super) console: Option<&'a Path>,
    /// The agent's socket, and what it is told besides.
    pub(super) agent: Option<(PathBuf, String)>,
    /// The container's state, for the agent.
    pub(super) state: State,
    /// The hooks that run outside of the container.
    pub(super) hooks: &'a mut dyn FnMut() -> Result<(), CommandError>,
}

/// Follows the child until it waits or executes. Gives the master of its terminal, when it is nobody else's.
pub(super) fn follow(
    status: BorrowedFd<'_>,
    answers: &mut Answers<'_>,
) -> Result<(Reached, Option<OwnedFd>), CommandError> {
    let mut terminal = None;
    let mut executing = false;
    loop {
        match receive(status).map_err(CommandError::system("read the child's report"))? {
            Received::Empty => wait(status)?,
            Received::End if executing => return Ok((Reached::Executed, terminal)),
            Received::End => return Err(CommandError::Ended),
            Received::Message(Message::Note(note), _) => answers.log.warn(&note),
            Received::Message(Message::Terminal, Some(master)) => match answers.console {
                Some(path) => send(path, b"/dev/ptmx", master.as_fd())?,
                None => terminal = Some(master),
            },
            Received::Message(Message::Listener, Some(listener)) => tell_agent(answers, listener.as_fd())?,
            Received::Message(Message::Terminal | Message::Listener, None) => {
                return Err(CommandError::System {
                    act: "receive a descriptor of the child",
                    errno: Errno::EPROTO,
                });
            }
            Received::Message(Message::Mounted, _) => {
                (answers.hooks)()?;
                go_on(status).map_err(CommandError::system("let the child go on"))?;
            }
            Received::Message(Message::Created, _) => return Ok((Reached::Created, terminal)),
            Received::Message(Message::Executing, _) => executing = true,
            Received::Message(Message::Failed(failure), _) => return Err(failure.into()),
        }
    }
}

fn wait(status: BorrowedFd<'_>) -> Result<(), CommandError> {
    let mut ready = [PollFd::new(status, PollFlags::POLLIN)];
    match poll(&mut ready, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(CommandError::system("wait for the child")(errno)),
    }
}

/// The process state of the specification, with the descriptor (config-linux.md, "The Container Process State").
fn tell_agent(answers: &Answers<'_>, listener: BorrowedFd<'_>) -> Result<(), CommandError> {
    let Some((path, metadata)) = &answers.agent else {
        return Ok(());
    };
    let text = json!({
        "ociVersion": answers.state.oci_version, "fds": ["seccompFd"], "pid": answers.state.pid,
        "metadata": metadata, "state": answers.state,
    });
    send(path, text.to_string().as_bytes(), listener)
}

fn send(path: &Path, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<(), CommandError> {
    let sent = UnixStream::connect(path).and_then(|socket| {
        // A short write of so few bytes doesn't happen; a longer text goes on without the descriptor.
        let first = descriptors::send(socket.as_fd(), bytes, &[fd])?;
        io::Write::write_all(&mut &socket, bytes.get(first..).unwrap_or_default())
    });
    sent.map_err(CommandError::file("send a descriptor to", path))
}
