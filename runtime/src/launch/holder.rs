//! A process that does nothing but be in namespaces: it holds them until somebody else does, or for as long as it lives.
//!
//! It is a copy of its caller that never executes anything, which has a point beside speed: to the kernel its memory belongs
//! to the host, so that not even root of the namespaces may look into it.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;

use crate::sys;
use crate::sys::clone::{CloneArgs, Cloned, clone_child};
use crate::user_namespace::UserNamespace;

/// Such a process; killed when this is dropped.
#[derive(Debug)]
pub struct Holder(Option<Cloned>);

impl Holder {
    /// Starts one in new namespaces, which belong to a new user namespace with this mapping if one is given.
    ///
    /// # Errors
    /// What clone3(2) says, or that the mapping isn't taken.
    pub fn start(namespaces: CloneFlags, users: Option<&UserNamespace>) -> io::Result<Self> {
        let lines = users.map(|users| (users.uids.line(), users.gids.line()));
        Self::mapped(
            namespaces,
            lines.as_ref().map(|(uids, gids)| (uids.as_str(), gids.as_str())),
        )
    }

    /// The same with the lines of uid_map and gid_map.
    ///
    /// # Errors
    /// What clone3(2) says, or that the mapping isn't taken.
    pub fn mapped(namespaces: CloneFlags, maps: Option<(&str, &str)>) -> io::Result<Self> {
        let mut flags = namespaces;
        flags.set(CloneFlags::CLONE_NEWUSER, maps.is_some());
        let args = CloneArgs {
            namespaces: flags.bits().cast_unsigned().into(),
            cgroup: None,
        };
        let holder = Self(Some(clone_child(&args, pause)?));
        if let Some((uids, gids)) = maps {
            // Before anybody is in it who could write a mapping of his own (user_namespaces(7)).
            for (file, lines) in [("uid_map", uids), ("gid_map", gids)] {
                fs::write(holder.proc(file), lines)?;
            }
        }
        Ok(holder)
    }

    /// A file of the process in the host's /proc.
    #[must_use]
    pub fn proc(&self, file: &str) -> PathBuf {
        let pid = self.0.as_ref().map_or(0, |cloned| cloned.pid.as_raw());
        PathBuf::from(format!("/proc/{pid}/{file}"))
    }

    /// Lets it live on by itself.
    #[must_use]
    pub fn keep(mut self) -> Cloned {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(cloned) = &self.0 {
            let _ = kill(cloned.pid, Signal::SIGKILL);
            while waitpid(cloned.pid, None) == Err(Errno::EINTR) {}
        }
    }
}

/// Waits for ever, and reaps: as the first process of a pid namespace it gets the orphans.
fn pause() -> i32 {
    let quiet = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .and_then(|()| nix::sys::prctl::set_name(c"pause"))
        .and_then(|()| sys::signals::ignore(Signal::SIGCHLD))
        .and_then(|()| SigSet::all().thread_block());
    if quiet.is_err() {
        return 1;
    }
    loop {
        // Everything but SIGKILL is blocked.
        nix::unistd::pause();
    }
}
