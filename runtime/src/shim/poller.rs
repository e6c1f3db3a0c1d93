//! epoll with a token for each descriptor; level-triggered, so nothing is lost when a handler does only a part.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Names one registration, never used again.
pub(super) type Token = u64;

/// Readable, or closed by the other side.
pub(super) const READ: EpollFlags = EpollFlags::EPOLLIN;
/// Writable.
pub(super) const WRITE: EpollFlags = EpollFlags::EPOLLOUT;

#[derive(Debug)]
pub(super) struct Poller {
    epoll: Epoll,
    next: Token,
}

impl Poller {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            next: 0,
        })
    }

    /// A token to register with, possibly several times.
    pub(super) fn token(&mut self) -> Token {
        self.next += 1;
        self.next
    }

    pub(super) fn add(&self, fd: impl AsFd, token: Token, interest: EpollFlags) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(interest, token))
    }

    /// Changes what is waited for. Without any interest the descriptor is taken out, since the kernel reports a hang-up
    /// whether asked or not, and would do so for ever.
    pub(super) fn set(&self, fd: impl AsFd, token: Token, interest: EpollFlags) -> Result<(), Errno> {
        if interest.is_empty() {
            return match self.epoll.delete(fd) {
                Err(Errno::ENOENT) => Ok(()),
                other => other,
            };
        }
        match self.epoll.modify(&fd, &mut EpollEvent::new(interest, token)) {
            Err(Errno::ENOENT) => self.add(fd, token, interest),
            other => other,
        }
    }

    /// Waits for events; none when a signal came or the time is over.
    pub(super) fn wait(&self, timeout: EpollTimeout) -> Result<Vec<(Token, EpollFlags)>, Errno> {
        let mut events = [EpollEvent::empty(); 32];
        match self.epoll.wait(&mut events, timeout) {
            Ok(count) => Ok(events[..count]
                .iter()
                .map(|event| (event.data(), event.events()))
                .collect()),
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }
}
