//! Staying with a process until its end: signals go on to it, its terminal is joined with ours, and its exit code is ours.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read, write};

use super::CommandError;
use crate::sys::clone::Cloned;
use crate::sys::{pidfd, terminal};

/// What is set up before there is a process, so that nothing is missed.
pub(super) struct Front {
    signals: SignalFd,
}

/// Our own terminal in raw mode, and as it was when this is dropped.
struct Raw(Termios);

impl Raw {
    fn make() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

impl Front {
    /// `reaps`: orphans of the container come to this process.
    pub(super) fn prepare(reaps: bool) -> Result<Self, CommandError> {
        if reaps {
            nix::sys::prctl::set_child_subreaper(true).map_err(CommandError::system("become a subreaper"))?;
        }
        let mut set = SigSet::all();
        // Faults of our own are not the container's.
        for signal in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGILL,
            Signal::SIGFPE,
            Signal::SIGABRT,
        ] {
            set.remove(signal);
        }
        set.thread_block().map_err(CommandError::system("block signals"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).map_err(CommandError::system("read signals"))?;
        Ok(Self { signals })
    }

    /// Stays until the process has ended; gives its exit code, or 128 and the signal that ended it.
    pub(super) fn stay(self, process: &Cloned, master: Option<OwnedFd>) -> Result<u8, CommandError> {
        let raw = master.as_ref().and_then(|_| Raw::make());
        if let Some(master) = &master {
            resize(master);
        }
        let mut relay = Relay {
            input: master.is_some(),
            master,
        };
        loop {
            let Some(code) = self.turn(process, &mut relay)? else {
                continue;
            };
            relay.drain();
            drop(raw);
            return Ok(code);
        }
    }

    /// Waits for one thing and does it.
    fn turn(&self, process: &Cloned, relay: &mut Relay) -> Result<Option<u8>, CommandError> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(master) = &relay.master {
            fds.push(PollFd::new(master.as_fd(), PollFlags::POLLIN));
            if relay.input {
                fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(None),
            other => other.map_err(CommandError::system("wait"))?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if ready.get(1) == Some(&true) {
            relay.output();
        }
        if ready.get(2) == Some(&true) {
            relay.take_input();
        }
        if ready[0] {
            self.signalled(process, relay)
        } else {
            Ok(None)
        }
    }

    fn signalled(&self, process: &Cloned, relay: &Relay) -> Result<Option<u8>, CommandError> {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
            match Signal::try_from(signal) {
                Ok(Signal::SIGCHLD) => {
                    if let Some(code) = reap(process.pid)? {
                        return Ok(Some(code));
                    }
                }
                Ok(Signal::SIGWINCH) => relay.master.iter().for_each(resize),
                // Ours, or nobody's.
                Ok(Signal::SIGPIPE | Signal::SIGURG) => {}
                _ => drop(pidfd::send_signal(process.pidfd.as_fd(), signal)),
            }
        }
        Ok(None)
    }
}

/// Reaps all that have ended; gives the code when the process is among them.
fn reap(process: Pid) -> Result<Option<u8>, CommandError> {
    loop {
        let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, u8::try_from(code).unwrap_or(255)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, u8::try_from(128 + signal as i32).unwrap_or(255)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(CommandError::system("wait for the process")(errno)),
        };
        if pid == process {
            return Ok(Some(code));
        }
    }
}

/// The container's terminal and our streams.
struct Relay {
    master: Option<OwnedFd>,
    /// Whether our standard input has more.
    input: bool,
}

impl Relay {
    /// Gives false when there is no more.
    fn output(&mut self) -> bool {
        let mut buffer = [0; 8192];
        let Some(master) = &self.master else { return false };
        // A terminal whose last user has gone answers EIO.
        match read(master, &mut buffer) {
            Ok(length) if length > 0 => {
                write_all(io::stdout(), &buffer[..length]);
                true
            }
            Err(Errno::EINTR) => true,
            _ => {
                self.master = None;
                false
            }
        }
    }

    fn take_input(&mut self) {
        let mut buffer = [0; 8192];
        let Some(master) = &self.master else { return };
        match read(io::stdin(), &mut buffer) {
            Ok(length) if length > 0 => write_all(master, &buffer[..length]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            _ => {
                self.input = false;
                // The end of what is typed, as a terminal says it.
                write_all(master, b"\x04");
            }
        }
    }

    /// What was written last is still in the terminal.
    fn drain(&mut self) {
        while self.master.as_ref().is_some_and(has_output) && self.output() {}
    }
}

fn has_output(master: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) > 0
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Gives the container's terminal the size of ours.
fn resize(master: &OwnedFd) {
    if let Ok((width, height)) = terminal::size(io::stdin().as_fd()) {
        let _ = terminal::resize(master.as_fd(), width, height);
    }
    debug_assert!(master.as_raw_fd() > 2, "the streams are open");
}
