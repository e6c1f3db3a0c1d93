//! What the child tells the parent over the status socket: one JSON message a packet.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::descriptors;

/// Longest packet; a longer text is cut.
const MAX_PACKET: usize = 16 * 1024;

/// One packet. The end of the stream after `Executing` means that execve succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Something the host refuses, left out with this reason.
    Note(String),
    /// A pseudo-terminal's master comes with this packet.
    Terminal,
    /// The descriptor by which filtered system calls are told comes with this packet.
    Listener,
    /// The mounts are made and the root isn't changed yet: the child waits for a packet, until the hooks have run.
    Mounted,
    /// The container is made; its command is executed when somebody asks at the door.
    Created,
    /// All steps but execve are done.
    Executing,
    /// A step failed, and the child ends.
    Failed(Failure),
}

/// The step that failed, on which thing and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step} {thing:?}: {reason}")]
pub struct Failure {
    /// Name of the step, such as `pivot_root`.
    pub step: String,
    /// Path, command or value that the step was about.
    pub thing: String,
    /// The system's error number.
    pub errno: i32,
    /// The error in words, with what can be said about its cause.
    pub reason: String,
}

impl Failure {
    pub(crate) fn new(step: &str, thing: impl Into<String>, errno: Errno) -> Self {
        Self {
            step: step.to_owned(),
            thing: thing.into(),
            errno: errno as i32,
            reason: format!("{} ({errno:?})", errno.desc()),
        }
    }
}

/// Names the step and the thing of an error.
pub(crate) trait InStep<T> {
    fn step(self, step: &str, thing: impl AsRef<std::ffi::OsStr>) -> Result<T, Failure>;
}

impl<T> InStep<T> for Result<T, Errno> {
    fn step(self, step: &str, thing: impl AsRef<std::ffi::OsStr>) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, thing.as_ref().to_string_lossy(), errno))
    }
}

impl<T> InStep<T> for std::io::Result<T> {
    fn step(self, step: &str, thing: impl AsRef<std::ffi::OsStr>) -> Result<T, Failure> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        self.map_err(errno).step(step, thing)
    }
}

/// The child's end of the status socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter<'a>(pub(crate) BorrowedFd<'a>);

impl Reporter<'_> {
    /// A parent that is gone can't be told; the child then dies with it (see [`super`]).
    pub(crate) fn send(self, message: &Message, fds: &[BorrowedFd<'_>]) {
        let bytes = serde_json::to_vec(message).expect("messages hold only strings and numbers");
        if bytes.len() <= MAX_PACKET {
            let _ = descriptors::send(self.0, &bytes, fds);
        }
    }

    pub(crate) fn note(self, text: String) {
        self.send(&Message::Note(text), &[]);
    }
}

/// Waits in the child for the parent's packet.
pub(crate) fn wait_for_parent(status: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut packet = [0];
    match descriptors::receive(status, &mut packet) {
        Ok((0, _)) => Err(Errno::EPIPE),
        other => other.map(drop),
    }
}

/// Lets the child that waits go on.
///
/// # Errors
/// It has ended.
pub fn go_on(status: BorrowedFd<'_>) -> Result<(), Errno> {
    descriptors::send(status, b"g", &[]).map(drop)
}

/// What the parent read.
#[derive(Debug)]
pub enum Received {
    /// A message, and the descriptor that came with it.
    Message(Message, Option<OwnedFd>),
    /// The child has executed or ended.
    End,
    /// Nothing for now.
    Empty,
}

/// Reads one packet without waiting.
///
/// # Errors
/// What recvmsg(2) says; `EPROTO` for a packet that is no message.
pub fn receive(status: BorrowedFd<'_>) -> Result<Received, Errno> {
    let mut buffer = [0; MAX_PACKET];
    match descriptors::receive(status, &mut buffer) {
        Ok((0, _)) | Err(Errno::ECONNRESET) => Ok(Received::End),
        Ok((length, fds)) => {
            let message = serde_json::from_slice(&buffer[..length]).map_err(|_| Errno::EPROTO)?;
            Ok(Received::Message(message, fds.into_iter().next()))
        }
        Err(Errno::EAGAIN) => Ok(Received::Empty),
        Err(errno) => Err(errno),
    }
}
