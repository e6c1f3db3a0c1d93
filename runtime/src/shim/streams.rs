//! A container's standard streams: its output to the log and to attached clients, their input to the container.
//!
//! The container is never made to wait for a client: one that reads too slowly is dropped. The container's stdin is
//! bounded, and a client that writes too fast waits.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::EpollFlags;
use nix::unistd::{read, write};

use super::log::{Log, Stream};
use super::poller::{Poller, READ, Token, WRITE};

/// Most output that waits for one client.
const MAX_BEHIND: usize = 256 * 1024;
/// Input that may wait for the container before its clients are no longer read.
const MAX_INPUT: usize = 64 * 1024;
/// Bytes for one read.
const CHUNK: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Streams {
    outputs: Vec<Output>,
    input: Option<Input>,
    /// Closes the container's stdin with the first client's.
    stdin_once: bool,
    pub(super) log: Log,
    clients: Vec<Client>,
    /// The container has ended: clients stay only until they have all of its output.
    over: bool,
}

#[derive(Debug)]
struct Output {
    fd: OwnedFd,
    token: Token,
    stream: Stream,
}

#[derive(Debug)]
struct Input {
    fd: OwnedFd,
    token: Token,
    pending: Vec<u8>,
    closing: bool,
}

/// An attached client; its connection is answered when it is over.
#[derive(Debug)]
struct Client {
    connection: Token,
    sinks: Vec<Sink>,
    source: Option<(OwnedFd, Token)>,
}

#[derive(Debug)]
struct Sink {
    fd: OwnedFd,
    token: Token,
    stream: Stream,
    pending: Vec<u8>,
}

/// Streams that a client brings along.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// What an event has changed for the server.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Registrations that are gone.
    pub(super) closed: Vec<Token>,
    /// Connections of clients that are gone.
    pub(super) left: Vec<Token>,
}

impl Streams {
    pub(super) fn new(log: Log, stdin_once: bool) -> Self {
        Self {
            outputs: Vec::new(),
            input: None,
            stdin_once,
            over: false,
            log,
            clients: Vec::new(),
        }
    }

    pub(super) fn add_output(&mut self, poller: &mut Poller, fd: OwnedFd, stream: Stream) -> Result<Token, Errno> {
        set_nonblocking(&fd)?;
        let token = poller.token();
        poller.add(&fd, token, READ)?;
        self.outputs.push(Output { fd, token, stream });
        Ok(token)
    }

    pub(super) fn set_input(&mut self, poller: &mut Poller, fd: OwnedFd) -> Result<Token, Errno> {
        set_nonblocking(&fd)?;
        let token = poller.token();
        self.input = Some(Input {
            fd,
            token,
            pending: Vec::new(),
            closing: false,
        });
        Ok(token)
    }

    /// Adds a client; returns its registrations.
    pub(super) fn attach(
        &mut self,
        poller: &mut Poller,
        connection: Token,
        attached: Attached,
    ) -> Result<Vec<Token>, Errno> {
        let mut client = Client {
            connection,
            sinks: Vec::new(),
            source: None,
        };
        let mut tokens = Vec::new();
        for (fd, stream) in [(attached.stdout, Stream::Stdout), (attached.stderr, Stream::Stderr)] {
            let Some(fd) = fd else { continue };
            set_nonblocking(&fd)?;
            let token = poller.token();
            tokens.push(token);
            // With EPOLLERR alone it is told when the reader leaves. A plain file can't be watched and never blocks.
            match poller.add(&fd, token, EpollFlags::EPOLLERR) {
                Ok(()) | Err(Errno::EPERM) => {}
                Err(errno) => return Err(errno),
            }
            client.sinks.push(Sink {
                fd,
                token,
                stream,
                pending: Vec::new(),
            });
        }
        if let Some(fd) = attached.stdin.filter(|_| self.input.is_some()) {
            set_nonblocking(&fd)?;
            let token = poller.token();
            tokens.push(token);
            poller.add(&fd, token, READ)?;
            client.source = Some((fd, token));
        }
        self.clients.push(client);
        Ok(tokens)
    }

    /// Handles an event of any of this container's registrations.
    pub(super) fn handle(&mut self, poller: &Poller, token: Token, events: EpollFlags) -> Changes {
        let mut changes = Changes::default();
        if self.outputs.iter().any(|output| output.token == token) {
            self.read_output(poller, token, &mut changes);
        } else if self.input.as_ref().is_some_and(|input| input.token == token) {
            self.write_input(poller, &mut changes);
        } else if self
            .clients
            .iter()
            .any(|client| client.source.as_ref().is_some_and(|(_, own)| *own == token))
        {
            self.read_client(poller, token, &mut changes);
        } else {
            self.flush_sink(poller, token, events, &mut changes);
        }
        changes
    }

    /// Takes what is left of the output and closes everything. Clients are let go of once they have all of it.
    pub(super) fn finish(&mut self, poller: &Poller) -> Changes {
        let mut changes = Changes::default();
        for token in self.outputs.iter().map(|output| output.token).collect::<Vec<_>>() {
            // A process that has been left alive elsewhere may hold the pipe; what is in it by now is all that counts.
            while self.read_output(poller, token, &mut changes) {}
        }
        changes.closed.extend(self.outputs.drain(..).map(|output| output.token));
        changes.closed.extend(self.input.take().map(|input| input.token));
        self.log.finish();
        self.over = true;
        for client in &mut self.clients {
            changes.closed.extend(client.source.take().map(|(_, token)| token));
            client.sinks.retain(|sink| {
                let behind = !sink.pending.is_empty();
                if !behind {
                    changes.closed.push(sink.token);
                }
                behind
            });
        }
        self.drop_idle(&mut changes);
        changes
    }

    /// Lets go of a client whose connection has closed.
    pub(super) fn detach(&mut self, connection: Token) -> Changes {
        let mut changes = Changes::default();
        let (gone, kept): (Vec<Client>, Vec<Client>) = std::mem::take(&mut self.clients)
            .into_iter()
            .partition(|c: &Client| c.connection == connection);
        self.clients = kept;
        for client in gone {
            client.forget(&mut changes);
        }
        changes.left.clear();
        changes
    }

    /// Reads one chunk; false when there is no more for now.
    fn read_output(&mut self, poller: &Poller, token: Token, changes: &mut Changes) -> bool {
        let Some(at) = self.outputs.iter().position(|output| output.token == token) else {
            return false;
        };
        let mut buffer = [0; CHUNK];
        match read(&self.outputs[at].fd, &mut buffer) {
            Ok(length) if length > 0 => {
                let stream = self.outputs[at].stream;
                self.log.take(stream, &buffer[..length]);
                self.fan_out(poller, stream, &buffer[..length], changes);
                true
            }
            Err(Errno::EAGAIN | Errno::EINTR) => false,
            // The end; a terminal whose last process has closed it says EIO.
            Ok(_) | Err(_) => {
                self.outputs.remove(at);
                changes.closed.push(token);
                false
            }
        }
    }

    fn fan_out(&mut self, poller: &Poller, stream: Stream, bytes: &[u8], changes: &mut Changes) {
        for client in &mut self.clients {
            client.sinks.retain_mut(|sink| {
                let kept = sink.stream != stream || sink.push(poller, bytes);
                if !kept {
                    changes.closed.push(sink.token);
                }
                kept
            });
        }
        self.drop_idle(changes);
    }

    fn flush_sink(&mut self, poller: &Poller, token: Token, events: EpollFlags, changes: &mut Changes) {
        let broken = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        for client in &mut self.clients {
            client.sinks.retain_mut(|sink| {
                let kept = sink.token != token
                    || (!broken && sink.push(poller, &[]) && !(self.over && sink.pending.is_empty()));
                if !kept {
                    changes.closed.push(token);
                }
                kept
            });
        }
        self.drop_idle(changes);
    }

    /// A client without any output left is over; stdin alone is kept, for that is what `attach --stdin` may ask for.
    fn drop_idle(&mut self, changes: &mut Changes) {
        let idle = |client: &Client| client.sinks.is_empty() && client.source.is_none();
        let (gone, kept): (Vec<Client>, Vec<Client>) = std::mem::take(&mut self.clients).into_iter().partition(idle);
        self.clients = kept;
        for client in gone {
            client.forget(changes);
        }
    }

    fn read_client(&mut self, poller: &Poller, token: Token, changes: &mut Changes) {
        let of_token = |client: &&mut Client| client.source.as_ref().is_some_and(|(_, own)| *own == token);
        let Some(client) = self.clients.iter_mut().find(of_token) else {
            return;
        };
        let Some((fd, _)) = &client.source else { return };
        let mut buffer = [0; CHUNK];
        match read(fd, &mut buffer) {
            Ok(length) if length > 0 => {
                if let Some(input) = &mut self.input {
                    input.pending.extend(&buffer[..length]);
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Ok(_) | Err(_) => {
                client.source = None;
                changes.closed.push(token);
                if let Some(input) = self.input.as_mut().filter(|_| self.stdin_once) {
                    input.closing = true;
                }
                self.drop_idle(changes);
            }
        }
        self.write_input(poller, changes);
    }

    fn write_input(&mut self, poller: &Poller, changes: &mut Changes) {
        let Some(input) = &mut self.input else { return };
        let open = input.flush(poller);
        let room = open && input.pending.len() < MAX_INPUT;
        if !open {
            changes.closed.push(input.token);
            self.input = None;
        }
        let interest = if room || self.input.is_none() {
            READ
        } else {
            EpollFlags::empty()
        };
        for (fd, token) in self.clients.iter().filter_map(|client| client.source.as_ref()) {
            if let Err(errno) = poller.set(fd, *token, interest) {
                eprintln!("shim: watch a client's stdin: {errno}");
            }
        }
    }
}

impl Input {
    /// False when it is over.
    fn flush(&mut self, poller: &Poller) -> bool {
        while !self.pending.is_empty() {
            match write(&self.fd, &self.pending) {
                Ok(length) => {
                    self.pending.drain(..length);
                }
                Err(Errno::EAGAIN) => return poller.set(&self.fd, self.token, WRITE).is_ok(),
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        !self.closing && poller.set(&self.fd, self.token, EpollFlags::empty()).is_ok()
    }
}

impl Sink {
    /// Sends or keeps; false when the client is gone or too slow.
    fn push(&mut self, poller: &Poller, bytes: &[u8]) -> bool {
        self.pending.extend(bytes);
        while !self.pending.is_empty() {
            match write(&self.fd, &self.pending) {
                Ok(length) => {
                    self.pending.drain(..length);
                }
                Err(Errno::EAGAIN) => {
                    let watched = poller.set(&self.fd, self.token, WRITE).is_ok();
                    return watched && self.pending.len() <= MAX_BEHIND;
                }
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        matches!(
            poller.set(&self.fd, self.token, EpollFlags::EPOLLERR),
            Ok(()) | Err(Errno::EPERM)
        )
    }
}

impl Client {
    fn forget(self, changes: &mut Changes) {
        changes.closed.extend(self.sinks.into_iter().map(|sink| sink.token));
        changes.closed.extend(self.source.map(|(_, token)| token));
        changes.left.push(self.connection);
    }
}

fn set_nonblocking(fd: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}
