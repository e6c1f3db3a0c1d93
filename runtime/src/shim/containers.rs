//! A container of the pod, and processes on their way into it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxNamespaceType, LinuxSeccomp, Spec};

use super::Exit;
use super::log::Log;
use super::poller::Token;
use super::protocol::{ContainerState, Fault, FaultKind};
use super::streams::{Attached, Streams};
use crate::cgroup::CgroupPath;
use crate::launch::{self, Plan, Stdio};
use crate::oci::annotation;
use crate::user_namespace::UserNamespace;

/// Names a container within this shim, even when its id is used again.
pub(super) type Key = u32;

/// ```text
///   launching --(executing, status closed)--> running --(reaped)--> ended
///       +-------(failed step, or reaped)----> forgotten, its starter told why
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// Between clone and execve.
    Launching,
    /// Executed, at this time.
    Running(i64),
    /// Reaped; its exit.json is written.
    Ended(i64, Exit),
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) cgroup: Option<CgroupPath>,
    /// The profile that its execs get too.
    pub(super) seccomp: Option<LinuxSeccomp>,
    /// What an exec enters.
    pub(super) namespaces: CloneFlags,
    pub(super) pid_namespace: bool,
    /// The users of its user namespace, if it has one.
    pub(super) users: Option<UserNamespace>,
    /// Master of its terminal, to resize.
    pub(super) terminal: Option<OwnedFd>,
    pub(super) streams: Streams,
    pub(super) phase: Phase,
}

impl Container {
    pub(super) fn exit(&self) -> Option<Exit> {
        match self.phase {
            Phase::Ended(_, exit) => Some(exit),
            Phase::Launching | Phase::Running(_) => None,
        }
    }

    /// Nothing to tell while launching: the starter is told the outcome.
    pub(super) fn state(&self) -> Option<ContainerState> {
        let (started_at_nanos, exit) = match self.phase {
            Phase::Launching => return None,
            Phase::Running(started) => (started, None),
            Phase::Ended(started, exit) => (started, Some(exit)),
        };
        Some(ContainerState {
            id: self.id.clone(),
            pid: self.pid.as_raw(),
            started_at_nanos,
            exit,
        })
    }
}

/// A process between clone and execve.
#[derive(Debug)]
pub(super) struct Launching {
    pub(super) status: OwnedFd,
    /// The connection to answer.
    pub(super) waiter: Token,
    /// The container to run, none for an exec.
    pub(super) container: Option<Key>,
    pub(super) pid: Pid,
    pub(super) notes: Vec<String>,
    pub(super) executing: bool,
    pub(super) terminal: Option<OwnedFd>,
    /// Streams of the one who starts it, until they are joined with the container's.
    pub(super) attached: Option<Attached>,
    pub(super) failure: Option<launch::Failure>,
    pub(super) ended: bool,
}

impl Launching {
    pub(super) fn new(status: OwnedFd, waiter: Token, container: Option<Key>, pid: Pid) -> Self {
        Self {
            status,
            waiter,
            container,
            pid,
            notes: Vec::new(),
            executing: false,
            terminal: None,
            attached: None,
            failure: None,
            ended: false,
        }
    }

    /// Takes what the child has reported so far.
    pub(super) fn pump(&mut self) {
        use launch::report::{Message, Received, receive};
        loop {
            match receive(self.status.as_fd()) {
                Ok(Received::Message(Message::Note(note), _)) => self.notes.push(note),
                Ok(Received::Message(Message::Terminal, fd)) => self.terminal = fd,
                Ok(Received::Message(Message::Executing, _)) => self.executing = true,
                // What is asked of an agent that isn't there is answered by the kernel: the call isn't implemented.
                Ok(Received::Message(Message::Listener, _)) => {
                    self.notes
                        .push("SCMP_ACT_NOTIFY: no agent listens in a pod, so the calls fail with ENOSYS".to_owned());
                }
                // A pod's containers have neither hooks nor a door.
                Ok(Received::Message(Message::Mounted | Message::Created, _)) => {}
                Ok(Received::Message(Message::Failed(failure), _)) => self.failure = Some(failure),
                Ok(Received::Empty) => return,
                Ok(Received::End) | Err(_) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Whether the process has become the container's.
    pub(super) fn succeeded(&self) -> bool {
        self.ended && self.executing && self.failure.is_none()
    }
}

/// A bundle, read.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) spec: Spec,
    pub(super) cgroup: Option<CgroupPath>,
}

impl Bundle {
    pub(super) fn read(bundle: &Path) -> Result<Self, Fault> {
        let path = bundle.join("config.json");
        let spec = Spec::load(&path).map_err(|error| invalid(&format!("{}: {error}", path.display())))?;
        let cgroup = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        let cgroup = cgroup
            .map(CgroupPath::parse)
            .transpose()
            .map_err(|error| invalid(&error))?;
        Ok(Self { spec, cgroup })
    }

    /// How the shim itself would launch it.
    pub(super) fn plan(&self, bundle: &Path, cgroups: &[launch::plan::CgroupMount]) -> Result<Plan, Fault> {
        launch::plan::plan(&self.spec, bundle, cgroups).map_err(|error| invalid(&error))
    }

    pub(super) fn terminal(&self) -> bool {
        let process = self.spec.process().as_ref();
        process.and_then(|process| process.terminal()).unwrap_or(false)
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.spec.annotations().as_ref()?.get(key).map(String::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.annotation(key) == Some("true")
    }

    pub(super) fn seccomp(&self) -> Option<LinuxSeccomp> {
        self.spec.linux().as_ref()?.seccomp().clone()
    }

    /// All that an exec takes from the container's first process but its pid namespace.
    pub(super) fn exec_namespaces(&self, plan: &Plan) -> (CloneFlags, bool) {
        let mut flags =
            CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        flags.set(CloneFlags::CLONE_NEWCGROUP, plan.cgroup_namespace);
        flags.set(CloneFlags::CLONE_NEWUSER, plan.users.is_some());
        let namespaces = self.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
        let pid = namespaces
            .into_iter()
            .flatten()
            .any(|namespace| namespace.typ() == LinuxNamespaceType::Pid);
        (flags, pid)
    }

    pub(super) fn log(&self) -> Result<Log, Fault> {
        let path = self.annotation(annotation::LOG_PATH).map(Path::new);
        Log::open(path).map_err(|error| Fault::system(format!("open log {path:?}: {error}")))
    }
}

fn invalid(error: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Invalid, error.to_string())
}

/// Pipes for a container without a terminal: our ends, and the container's.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) theirs: Stdio,
}

impl Pipes {
    pub(super) fn new(with_stdin: bool) -> nix::Result<Self> {
        let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        let stdin = if with_stdin { Some(pipe()?) } else { None };
        let (their_stdin, stdin) = stdin.unzip();
        Ok(Self {
            stdin,
            stdout,
            stderr,
            theirs: Stdio {
                stdin: their_stdin,
                stdout: Some(their_stdout),
                stderr: Some(their_stderr),
            },
        })
    }
}
