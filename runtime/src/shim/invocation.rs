//! One command of an OCI runtime of others: started, never waited for, its outcome read when it has been reaped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as Stream};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::Pid;

use super::Exit;
use super::containers::Key;
use super::oci_runtime::{OciRuntime, Paths, Verb, logged_error};
use super::poller::Token;
use super::protocol::{Fault, FaultKind};
use crate::launch::Stdio;
use crate::sys::{command, descriptors, signals};

/// What comes after a command.
#[derive(Debug)]
pub(super) enum Step {
    /// `create`: the container waits to be started.
    Create { key: Key, waiter: Token },
    /// `start`: it runs.
    Start { key: Key, waiter: Token },
    /// `exec`: one more process runs.
    Exec { key: Key, exec_id: String, waiter: Token },
    /// `kill`: the signal is sent.
    Kill { waiter: Token },
    /// `delete` after the container's end.
    Delete { key: Key, exit: Exit },
    /// `delete` of a container that couldn't be started, and why.
    Discard { key: Key, waiter: Token, fault: Fault },
}

/// A command that is under way.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) step: Step,
    program: PathBuf,
    verb: &'static str,
    files: Files,
    console: Option<UnixListener>,
}

/// The files of a command, removed with it.
#[derive(Debug)]
pub(super) struct Files(pub(super) Paths);

impl Drop for Files {
    fn drop(&mut self) {
        let Self(paths) = self;
        for path in [paths.log(), paths.pid(), paths.process(), paths.console()] {
            // Most commands make only one of them.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A command to start.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) runtime: &'a OciRuntime,
    pub(super) verb: Verb<'a>,
    pub(super) container_id: &'a str,
    pub(super) files: Files,
    /// The new process's streams; it inherits those of the command.
    pub(super) stdio: Stdio,
    /// A cgroup hierarchy that the runtime is not to see.
    pub(super) hidden: Option<PathBuf>,
}

impl Call<'_> {
    /// Starts it; `step` is what its end leads to.
    pub(super) fn start(self, step: Step) -> Result<(Pid, Invocation), Fault> {
        let program = self.runtime.program.clone();
        let failed = |error: io::Error| Fault::system(format!("start the OCI runtime {}: {error}", program.display()));
        let paths = &self.files.0;
        let console = match self.verb {
            Verb::Create { console: true, .. } | Verb::Exec { console: true } => {
                Some(listen(&paths.console()).map_err(failed)?)
            }
            _ => None,
        };
        let mut command = Command::new(&program);
        command
            .args(self.runtime.arguments(&self.verb, self.container_id, paths))
            // Runtimes act on variables such as NOTIFY_SOCKET and LISTEN_FDS, which aren't meant for containers here.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
            .stdin(self.stdio.stdin.map_or_else(Stream::null, Stream::from));
        // What it says besides goes to the shim's own log.
        if let Some(stdout) = self.stdio.stdout {
            command.stdout(stdout);
        }
        if let Some(stderr) = self.stdio.stderr {
            command.stderr(stderr);
        }
        let hidden = self.hidden;
        command::before_exec(&mut command, move || Ok(prepare(hidden.as_deref())?))
            .map_err(|errno| failed(errno.into()))?;
        let child = command.spawn().map_err(failed)?;
        let invocation = Invocation {
            step,
            program,
            verb: self.verb.name(),
            files: self.files,
            console,
        };
        let pid = i32::try_from(child.id()).expect("the kernel's process ids fit an i32");
        Ok((Pid::from_raw(pid), invocation))
    }
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Invocation {
    /// What its exit code and its log say.
    pub(super) fn outcome(&self, exit: &Exit) -> Result<(), Fault> {
        if exit.code == 0 {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.files.0.log()).unwrap_or_default();
        let reason = logged_error(&log).unwrap_or_else(|| match exit.signal {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("ended with exit code {} and said nothing in its log", exit.code),
        });
        Err(self.fault(&reason))
    }

    /// The process that it has started.
    pub(super) fn process(&self) -> Result<Pid, Fault> {
        let text = std::fs::read_to_string(self.files.0.pid()).map_err(|error| self.fault(&error))?;
        let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 1);
        pid.map(Pid::from_raw)
            .ok_or_else(|| self.fault(&format!("its pid file holds {text:?}")))
    }

    /// The master of the new process's terminal, which was sent before the command ended; none if none was asked for.
    pub(super) fn terminal(&self) -> Result<Option<OwnedFd>, Fault> {
        let Some(listener) = &self.console else {
            return Ok(None);
        };
        let (stream, _) = listener.accept().map_err(|error| self.fault(&error))?;
        stream.set_nonblocking(true).map_err(|error| self.fault(&error))?;
        // The message is the terminal's name in the container.
        let mut name = [0; 4096];
        let (_, received) = descriptors::receive(stream.as_fd(), &mut name).map_err(|errno| self.fault(&errno))?;
        let missing = || self.fault(&"no terminal came over the console socket");
        received.into_iter().next().ok_or_else(missing).map(Some)
    }

    pub(super) fn fault(&self, reason: &dyn std::fmt::Display) -> Fault {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let text = format!("OCI runtime {}, {}: {reason}", name.to_string_lossy(), self.verb);
        Fault::new(FaultKind::Launch, text)
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// In the child: signals as a program expects them, and the host as the runtime is to see it.
fn prepare(hidden: Option<&Path>) -> Result<(), Errno> {
    signals::restore_default(Signal::SIGPIPE)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    hidden.map_or(Ok(()), hide)
}

/// Shows the runtime a host without this hierarchy.
fn hide(hierarchy: &Path) -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let above = hierarchy.parent().unwrap_or(Path::new("/"));
    // Only this mount is made private, so that what containers share with the host stays shared.
    match mount(None::<&str>, above, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>) {
        Ok(()) => umount2(hierarchy, MntFlags::MNT_DETACH),
        // No mount point of its own: unmounting would reach the host, so the runtime sees all.
        Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}
