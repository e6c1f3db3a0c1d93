//! Kubeconfigs: those of our programs, and the user's own, which has other clusters in it and must survive us.
//!
//! `document` decides what a file says afterwards (pure); this file finds the invoking user's kubeconfig, through sudo too,
//! and replaces it in one step, keeping owner, mode and symbolic links. Nothing is written when nothing would change, so
//! comments survive a second `up`; a changed file loses them, as with `kubectl config`.

mod document;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Uid};

use super::files;
use super::invoker::Invoker;
pub(super) use document::{Entry, standalone};

/// Why a kubeconfig can't be merged into.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// Neither `--kubeconfig`, `KUBECONFIG` nor a home directory says where it is.
    #[error("cannot tell where your kubeconfig is: HOME is not set; name it by --kubeconfig FILE")]
    NoHome,
    /// It can't be read or written.
    #[error("cannot {act} the kubeconfig {}", path.display())]
    Access {
        /// What was tried.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It isn't what kubectl could read either; it is left as it is.
    #[error("{} is no kubeconfig; it was left as it is. Repair it, or name another by --kubeconfig FILE", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: document::DocumentError,
    },
}

/// A user's kubeconfig: where it is, and whose it becomes if it has to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    owner: Option<(Uid, Gid)>,
}

/// What merging did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) written: bool,
    /// Whether plain `kubectl` now talks to this node.
    pub(super) current: bool,
}

impl Target {
    /// The invoking user's kubeconfig: `--kubeconfig`, `KUBECONFIG`'s first entry, or `~/.kube/config`, where the user is
    /// who called sudo.
    pub(super) fn find(explicit: Option<&Path>) -> Result<Self, KubeconfigError> {
        Self::find_in(explicit, std::env::var_os("KUBECONFIG"), Invoker::find())
    }

    fn find_in(explicit: Option<&Path>, list: Option<OsString>, invoker: Invoker) -> Result<Self, KubeconfigError> {
        let listed = || std::env::split_paths(list.as_ref()?).find(|path| !path.as_os_str().is_empty());
        let in_home = || invoker.home.as_ref().map(|home| home.join(".kube/config"));
        let path = explicit
            .map(Path::to_owned)
            .or_else(listed)
            .or_else(in_home)
            .ok_or(KubeconfigError::NoHome)?;
        let owner = invoker.owner;
        Ok(Self { path, owner })
    }

    /// Adds or renews `entry`; makes it the current context when there is none, or when `switch` asks for it.
    pub(super) fn merge(&self, entry: &Entry<'_>, switch: bool) -> Result<Merged, KubeconfigError> {
        self.create_directory()?;
        let mut current = false;
        let written = self.rewrite(|text| {
            let merged = document::merge(text, entry, switch)?;
            current = merged.current;
            Ok(merged.text)
        })?;
        Ok(Merged { written, current })
    }

    /// Removes the context, cluster and user `name`; says whether there were any.
    pub(super) fn remove(&self, name: &str) -> Result<bool, KubeconfigError> {
        if !self.path.exists() {
            return Ok(false);
        }
        self.rewrite(|text| document::remove(text, name))
    }

    /// Reads, decides, replaces: under a lock on the directory, so that two instances starting at once both get in.
    fn rewrite(
        &self,
        decide: impl FnOnce(&str) -> Result<Option<String>, document::DocumentError>,
    ) -> Result<bool, KubeconfigError> {
        let path = followed(&self.path);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let access = |act| {
            let path = path.clone();
            move |source| KubeconfigError::Access { act, path, source }
        };
        let handle = File::open(directory).map_err(access("lock"))?;
        let _lock = Flock::lock(handle, FlockArg::LockExclusive).map_err(|(_, errno)| access("lock")(errno.into()))?;
        let present = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(access("read")(error)),
        };
        let decided = decide(&present).map_err(|source| KubeconfigError::Document {
            path: path.clone(),
            source,
        })?;
        let Some(text) = decided else { return Ok(false) };
        self.replace(&path, &text).map_err(access("write"))?;
        Ok(true)
    }

    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let before = fs::metadata(path).ok();
        let mode = before.as_ref().map_or(0o600, |meta| meta.mode() & 0o7777);
        let owner = match &before {
            Some(meta) => Some((Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()))),
            None => self.owner,
        };
        let temporary = files::beside(path, &format!(".minik-{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let written = (|| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            give(&temporary, owner)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        match written {
            // A file that is itself a mount point (as in containers) can't be renamed over.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => fs::write(path, text),
            other => other,
        }
    }

    fn create_directory(&self) -> Result<(), KubeconfigError> {
        let Some(directory) = self
            .path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        else {
            return Ok(());
        };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.and_then(|()| give(directory, self.owner))
            .map_err(|source| KubeconfigError::Access {
                act: "make the directory of",
                path: self.path.clone(),
                source,
            })
    }
}

/// Where a chain of symbolic links ends, also when nothing is there yet: the link is kept, its target written.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // Linux itself follows at most 40 links (path_resolution(7)).
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    std::path::absolute(&path).unwrap_or(path)
}

fn give(path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    let there = fs::metadata(path)?;
    if (there.uid(), there.gid()) == (uid.as_raw(), gid.as_raw()) {
        return Ok(());
    }
    nix::unistd::chown(path, Some(uid), Some(gid)).map_err(io::Error::from)
}
