//! Whether pods can have users of their own on this host: found out by doing on a small scale what a container's start does.
//!
//! It needs a kernel that makes user namespaces, and translates owners on the filesystem where layers are (not 9p, not NFS) and
//! below an overlay (Linux 5.19).

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::wait::waitpid;

use super::holder::Holder;
use super::parent::status_socket;
use super::plan::overlay;
use super::plan::{PlanError, RootfsPlan};
use super::report::{Failure, InStep, Message, Received, Reporter, receive};
use super::steps::{mounts, users};
use crate::sys::clone::{CloneArgs, clone_child};
use crate::user_namespace::{IdRange, UserNamespace};

/// Why user namespaces don't work.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The namespace, or the files for the trial.
    #[error("{act}: {source}")]
    System {
        /// What was tried.
        act: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A container's root in it.
    #[error(transparent)]
    Root(#[from] Failure),
    /// The directory's name can't be given to an overlay.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Any range will do that isn't the host's own.
const RANGE: IdRange = IdRange {
    host: 65_536,
    length: 65_536,
};

/// Makes a user namespace, and in it a root of a layer in `directory`; removes all of it. The process must have one thread.
///
/// # Errors
/// What failed: containers would fail with it, too.
pub fn user_namespaces(directory: &Path) -> Result<(), TrialError> {
    let failed = |act| move |source| TrialError::System { act, source };
    let trial = Directory(directory.join("trial"));
    let at = |name: &str| trial.0.join(name);
    for name in ["layers/0", "upper", "work", "rootfs"] {
        fs::create_dir_all(at(name)).map_err(failed("make a directory for the trial"))?;
    }
    let root = RootfsPlan {
        target: at("rootfs"),
        overlay: Some(overlay(&[at("layers/0")], Some((&at("upper"), &at("work"))), true)?),
        readonly: false,
    };
    let mapping = UserNamespace {
        uids: RANGE,
        gids: RANGE,
    };
    let holder = Holder::start(CloneFlags::empty(), Some(&mapping)).map_err(failed("make a user namespace"))?;
    let namespace = fs::File::open(holder.proc("ns/user")).map_err(failed("open the user namespace"))?;
    in_child(|| {
        mounts::propagate(0)?;
        let root = mounts::root(&root, Some(namespace.as_fd()))?;
        users::enter(namespace.as_fd(), &root).map(drop)
    })
}

/// Runs a trial in a process with a mount namespace of its own, and returns what it says.
fn in_child(trial: impl FnOnce() -> Result<(), Failure>) -> Result<(), TrialError> {
    let (ours, theirs) = status_socket()?;
    let args = CloneArgs {
        namespaces: libc::CLONE_NEWNS as u64,
        cgroup: None,
    };
    let cloned = clone_child(&args, || match trial() {
        Ok(()) => 0,
        Err(failure) => {
            Reporter(theirs.as_fd()).send(&Message::Failed(failure), &[]);
            1
        }
    });
    let cloned = cloned.step("clone", "")?;
    drop(theirs);
    while waitpid(cloned.pid, None) == Err(Errno::EINTR) {}
    match receive(ours.as_fd()).step("read", "status socket")? {
        Received::Message(Message::Failed(failure), _) => Err(failure.into()),
        _ => Ok(()),
    }
}

/// A directory that goes with its owner.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing is mounted in it but in the namespace of a process that has ended.
        let _ = fs::remove_dir_all(&self.0);
    }
}
