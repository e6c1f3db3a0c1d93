//! What goes wrong on the command line. Some texts are read by programs: containerd and podman look for "does not exist",
//! "container not running" and "executable file not found", so these stay as runc has them.

use std::io;
use std::path::PathBuf;

use crate::cgroup::CgroupError;
use crate::launch::hooks::HookError;
use crate::launch::{Failure, PlanError};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("flag provided but not defined: {0}; see --help")]
    Flag(String),
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    #[error("--{flag}: {value:?} is not a number in range")]
    Number { flag: &'static str, value: String },
    #[error("no such command: {0}; --help lists those there are")]
    Verb(String),
    #[error("{program}: {verb:?} requires {wanted}; see `{program} {verb} --help`")]
    Arguments {
        program: &'static str,
        verb: &'static str,
        wanted: &'static str,
    },
    #[error("invalid container ID format: {0:?}; letters, digits and _+-. are allowed")]
    Id(String),
    #[error("container with given ID already exists: {0}; delete it first, or choose another")]
    Exists(String),
    #[error("container does not exist")]
    NotFound,
    #[error("{act} {path}: {source}")]
    File {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path}: {reason}")]
    Config { path: PathBuf, reason: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("{0}")]
    Launch(#[from] Failure),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("{act}: {errno}")]
    System {
        act: &'static str,
        errno: nix::errno::Errno,
    },
    #[error("the container's process ended before it executed its command")]
    Ended,
    #[error("container not running")]
    NotRunning,
    #[error("cannot {0} a container that has stopped")]
    Stopped(&'static str),
    #[error("cannot start an already running container")]
    AlreadyStarted,
    #[error("cannot exec in a {0} container")]
    Exec(&'static str),
    #[error("cannot {verb} a container that is {status}")]
    Status { verb: &'static str, status: &'static str },
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped { id: String, status: &'static str },
    #[error("unknown signal {0:?}")]
    Signal(String),
    #[error("{0}")]
    Terminal(&'static str),
    #[error("descriptor {0} is to be preserved, and nobody has opened it")]
    Preserved(i32),
    #[error("{0} is refused: {1}")]
    Refused(&'static str, &'static str),
}

impl CommandError {
    /// For `map_err` of what is done with a file.
    pub(super) fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }

    /// The same for a call without one.
    pub(super) fn system(act: &'static str) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::System { act, errno }
    }
}
