//! A client's end of a connection to a shim: one request, its responses, and the descriptors of both.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use minik_api::trace::Traceparent;
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::client::ShimError;
use super::protocol::{Envelope, FrameError, Request, Response, frame, take};
use crate::sys::descriptors;

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> Result<Self, ShimError> {
        let stream = UnixStream::connect(socket).await.map_err(|source| ShimError::Connect {
            path: socket.to_owned(),
            source,
        })?;
        Ok(Self {
            stream,
            input: Vec::new(),
            descriptors: Vec::new(),
        })
    }

    /// The span that the caller is in travels along when it carries a trace context.
    pub(super) async fn send(&mut self, request: Request, fds: &[Option<OwnedFd>]) -> Result<(), ShimError> {
        let bytes = frame(&Envelope {
            traceparent: TRACEPARENT.try_with(Traceparent::to_string).ok(),
            request,
        });
        let mut fds: Vec<BorrowedFd<'_>> = fds.iter().flatten().map(AsFd::as_fd).collect();
        let mut sent = 0;
        while sent < bytes.len() {
            let send = || Ok(descriptors::send(self.stream.as_fd(), &bytes[sent..], &fds)?);
            sent += self.stream.async_io(Interest::WRITABLE, send).await.map_err(broken)?;
            fds.clear();
        }
        Ok(())
    }

    pub(super) async fn response(&mut self) -> Result<Response, ShimError> {
        loop {
            let protocol = |error: FrameError| ShimError::Protocol(error.to_string());
            match take(&mut self.input).map_err(protocol)? {
                Some(Response::Fault(fault)) => return Err(fault.into()),
                Some(response) => return Ok(response),
                None => {}
            }
            let mut buffer = [0; 4096];
            let receive = || Ok(descriptors::receive(self.stream.as_fd(), &mut buffer)?);
            let (length, fds) = self
                .stream
                .async_io(Interest::READABLE, receive)
                .await
                .map_err(broken)?;
            if length == 0 {
                return Err(ShimError::Gone);
            }
            self.input.extend(&buffer[..length]);
            self.descriptors.extend(fds);
        }
    }

    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop()
    }
}

tokio::task_local! {
    /// The trace that requests to shims belong to; set with `TRACEPARENT.scope(context, future)`.
    pub static TRACEPARENT: Traceparent;
}

fn broken(error: io::Error) -> ShimError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPIPE | Errno::ECONNRESET) => ShimError::Gone,
        _ => ShimError::Socket(error),
    }
}
