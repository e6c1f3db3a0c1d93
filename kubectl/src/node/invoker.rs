//! Who typed the command: with sudo it is that user's home that counts, not root's.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User};

/// The user behind this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invoker {
    /// None when there is no telling where it is.
    pub(super) home: Option<PathBuf>,
    /// Whose new files in that home become; none: this process' own.
    pub(super) owner: Option<(Uid, Gid)>,
}

impl Invoker {
    /// As the environment of this process tells.
    pub(super) fn find() -> Self {
        let home_of = |uid| User::from_uid(uid).ok().flatten().map(|user| user.dir);
        Self::find_in(&|name| env::var_os(name), &home_of)
    }

    pub(super) fn find_in(
        variable: &dyn Fn(&str) -> Option<OsString>,
        home_of: &dyn Fn(Uid) -> Option<PathBuf>,
    ) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u32>().ok();
        // sudo sets both (sudo(8), "Environment"); called by root itself it changes nothing.
        let sudo = number("SUDO_UID").zip(number("SUDO_GID")).filter(|(uid, _)| *uid != 0);
        let owner = sudo.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
        let home = match owner {
            Some((uid, _)) => home_of(uid),
            None => variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        };
        Self { home, owner }
    }

    /// Logins for registries, as docker and others keep them, if there are any.
    pub(super) fn docker_config(&self) -> Option<PathBuf> {
        let path = self.home.as_ref()?.join(".docker/config.json");
        path.exists().then_some(path)
    }
}
