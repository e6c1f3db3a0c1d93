//! One client's connection: frames and descriptors in, frames and descriptors out, never waiting.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;

use super::poller::{Poller, READ, Token, WRITE};
use super::protocol::{Envelope, FrameError, MAX_FRAME, Response, frame, take};
use crate::sys::descriptors;

/// Most descriptors that a client may have sent without a request for them.
const MAX_WAITING: usize = 16;

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    token: Token,
    input: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    output: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    /// Bytes of the first frame that have gone.
    sent: usize,
    /// To be closed when all is sent.
    closing: bool,
    /// Whether it wants events.
    pub(super) subscribed: bool,
}

/// The connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("closed")]
    Ended,
    #[error("socket: {0}")]
    Socket(#[from] Errno),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the client reads too slowly")]
    Slow,
    #[error("too many descriptors")]
    Descriptors,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, poller: &mut Poller) -> Result<Self, Errno> {
        let token = poller.token();
        stream.set_nonblocking(true).map_err(|_| Errno::last())?;
        poller.add(&stream, token, READ)?;
        Ok(Self {
            stream,
            token,
            input: Vec::new(),
            descriptors: VecDeque::new(),
            output: VecDeque::new(),
            sent: 0,
            closing: false,
            subscribed: false,
        })
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Reads what is there and returns the next request if it is complete.
    pub(super) fn receive(&mut self) -> Result<Option<Envelope>, Closed> {
        let mut buffer = [0; 16 * 1024];
        match descriptors::receive(self.stream.as_fd(), &mut buffer) {
            Ok((0, _)) | Err(Errno::ECONNRESET) => return Err(Closed::Ended),
            Ok((length, received)) => {
                self.input.extend(&buffer[..length]);
                self.descriptors.extend(received);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if self.descriptors.len() > MAX_WAITING {
            return Err(Closed::Descriptors);
        }
        Ok(take(&mut self.input)?)
    }

    /// A further request that has come with the same read.
    pub(super) fn next(&mut self) -> Result<Option<Envelope>, Closed> {
        Ok(take(&mut self.input)?)
    }

    /// The next descriptor that the client has sent.
    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Queues a response and sends what can be sent.
    pub(super) fn send(&mut self, poller: &Poller, response: &Response, fd: Option<OwnedFd>) -> Result<(), Closed> {
        self.output.push_back((frame(response), fd));
        if self.output.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() > MAX_FRAME {
            return Err(Closed::Slow);
        }
        self.flush(poller)
    }

    /// Closes when all is sent.
    pub(super) fn finish(&mut self, poller: &Poller) -> Result<(), Closed> {
        self.closing = true;
        self.flush(poller)
    }

    pub(super) fn flush(&mut self, poller: &Poller) -> Result<(), Closed> {
        while let Some((bytes, fd)) = self.output.front_mut() {
            let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
            match descriptors::send(self.stream.as_fd(), &bytes[self.sent..], &fds) {
                Ok(length) => {
                    // A descriptor goes with the first byte, and only once.
                    *fd = None;
                    self.sent += length;
                    if self.sent == bytes.len() {
                        self.output.pop_front();
                        self.sent = 0;
                    }
                }
                Err(Errno::EAGAIN) => {
                    poller.set(&self.stream, self.token, READ | WRITE)?;
                    return Ok(());
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if self.closing {
            return Err(Closed::Ended);
        }
        poller.set(&self.stream, self.token, READ)?;
        Ok(())
    }
}
