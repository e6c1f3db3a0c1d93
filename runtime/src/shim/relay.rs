//! One TCP connection relayed: two sockets, a bounded buffer in each direction, half-closes passed on.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, SockaddrStorage, getsockopt, shutdown, socket, sockopt,
};
use nix::unistd::{read, write};

use super::poller::{Poller, READ, Token, WRITE};

const BUFFER: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Relay {
    sides: [Side; 2],
    /// Whether the connection into the pod is still being made.
    connecting: bool,
}

#[derive(Debug)]
struct Side {
    fd: OwnedFd,
    token: Token,
    /// What has been read from this side and not yet written to the other.
    pending: Vec<u8>,
    /// This side has sent its end.
    read_closed: bool,
    /// The end has been passed on to this side.
    write_closed: bool,
}

/// The relay is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over;

/// Begins a TCP connection; on loopback it is established or refused at once.
pub(super) fn connect(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Ok(socket),
        Err(Errno::EINPROGRESS) => {
            // Within one network namespace the handshake is over by now, unless the server's backlog is full.
            let mut status = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            let decided = poll(&mut status, PollTimeout::ZERO)? > 0;
            match if decided {
                getsockopt(&socket, sockopt::SocketError)?
            } else {
                0
            } {
                0 => Ok(socket),
                error => Err(Errno::from_raw(error)),
            }
        }
        Err(errno) => Err(errno),
    }
}

impl Relay {
    pub(super) fn new(client: OwnedFd, pod: OwnedFd, poller: &mut Poller) -> Result<Self, Errno> {
        let side = |fd: OwnedFd, token| Side {
            fd,
            token,
            pending: Vec::new(),
            read_closed: false,
            write_closed: false,
        };
        let relay = Self {
            sides: [side(client, poller.token()), side(pod, poller.token())],
            connecting: true,
        };
        poller.add(&relay.sides[1].fd, relay.sides[1].token, WRITE)?;
        Ok(relay)
    }

    pub(super) fn tokens(&self) -> [Token; 2] {
        [self.sides[0].token, self.sides[1].token]
    }

    pub(super) fn handle(&mut self, poller: &Poller) -> Result<(), Over> {
        if self.connecting {
            match getsockopt(&self.sides[1].fd, sockopt::SocketError) {
                Ok(0) => self.connecting = false,
                _ => return Err(Over),
            }
        }
        for (from, to) in [(0, 1), (1, 0)] {
            self.pump(from, to)?;
        }
        let over = self
            .sides
            .iter()
            .all(|side| side.read_closed && side.pending.is_empty());
        if over {
            return Err(Over);
        }
        for index in 0..2 {
            let (own, other) = (&self.sides[index], &self.sides[1 - index]);
            let mut interest = EpollFlags::empty();
            interest.set(READ, !own.read_closed && own.pending.len() < BUFFER);
            interest.set(WRITE, !other.pending.is_empty());
            poller.set(own.fd.as_fd(), own.token, interest).map_err(|_| Over)?;
        }
        Ok(())
    }

    /// Reads from one side and writes to the other until either would wait.
    fn pump(&mut self, from: usize, to: usize) -> Result<(), Over> {
        let [first, second] = &mut self.sides;
        let (source, sink) = if from < to { (first, second) } else { (second, first) };
        let mut buffer = [0; BUFFER];
        loop {
            if source.pending.is_empty() && !source.read_closed {
                match read(&source.fd, &mut buffer) {
                    Ok(0) => source.read_closed = true,
                    Ok(length) => source.pending.extend(&buffer[..length]),
                    Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
                    Err(_) => return Err(Over),
                }
            }
            if source.pending.is_empty() {
                if source.read_closed && !sink.write_closed {
                    sink.write_closed = true;
                    let _ = shutdown(sink.fd.as_raw_fd(), Shutdown::Write);
                }
                return Ok(());
            }
            match write(&sink.fd, &source.pending) {
                Ok(length) => drop(source.pending.drain(..length)),
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
                Err(_) => return Err(Over),
            }
        }
    }
}
