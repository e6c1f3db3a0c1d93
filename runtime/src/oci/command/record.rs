//! What is kept of a container between commands: a directory of its own below `--root`.
//!
//! ```text
//!   <root>/<id>/state.json    the record below, replaced as a whole
//!               config.json   as it was when the container was made; what the bundle's becomes later doesn't count
//!               door.sock     made, not started: who connects has the command executed
//! ```
//!
//! Making the directory is what claims an id. Which process is meant is told by its pid and the time it began, so that
//! another that got the pid later is never taken for it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::CommandError;
use crate::cgroup::{CgroupPath, Driver};
use crate::oci::{OCI_VERSION, State, Status};

/// Longest id.
const MAX_ID: usize = 1024;

/// The record of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    pub(super) owner: u32,
    /// The first process; 0 until there is one.
    pub(super) pid: i32,
    /// When it began, in the kernel's ticks since boot.
    pub(super) began: u64,
    /// Whether its command has been let run.
    pub(super) started: bool,
    /// Its cgroup, when it has one of its own.
    pub(super) cgroup: Option<PathBuf>,
}

/// A container's directory.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(root: &Path, id: &str) -> Result<Self, CommandError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id.len() > MAX_ID || id == "." || id == ".." || !id.bytes().all(allowed) {
            return Err(CommandError::Id(id.to_owned()));
        }
        Ok(Self(root.join(id)))
    }

    /// Claims it.
    pub(super) fn make(&self) -> Result<(), CommandError> {
        let root = self.0.parent().expect("a place is below a root");
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder
            .recursive(true)
            .create(root)
            .map_err(CommandError::file("make", root))?;
        builder
            .recursive(false)
            .create(&self.0)
            .map_err(|source| match source.kind() {
                ErrorKind::AlreadyExists => CommandError::Exists(self.id().to_owned()),
                _ => CommandError::file("make", &self.0)(source),
            })
    }

    pub(super) fn id(&self) -> &str {
        self.0.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn exists(&self) -> bool {
        self.0.is_dir()
    }

    pub(super) fn door(&self) -> PathBuf {
        self.0.join("door.sock")
    }

    pub(super) fn load(&self) -> Result<Record, CommandError> {
        let path = self.0.join("state.json");
        let text = fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => CommandError::NotFound,
            _ => CommandError::file("read", &path)(source),
        })?;
        serde_json::from_slice(&text).map_err(|error| CommandError::Config {
            path,
            reason: error.to_string(),
        })
    }

    pub(super) fn save(&self, record: &Record) -> Result<(), CommandError> {
        let text = serde_json::to_vec(record).expect("a record holds strings and numbers");
        let (new, path) = (self.0.join("state.json.new"), self.0.join("state.json"));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(CommandError::file("write", path))
    }

    /// Keeps config.json.
    pub(super) fn keep_spec(&self, text: &[u8]) -> Result<(), CommandError> {
        let path = self.0.join("config.json");
        fs::write(&path, text).map_err(CommandError::file("write", path))
    }

    pub(super) fn spec(&self) -> Result<Spec, CommandError> {
        read_spec(&self.0.join("config.json")).map(|(spec, _)| spec)
    }

    pub(super) fn remove(&self) -> Result<(), CommandError> {
        match fs::remove_dir_all(&self.0) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(CommandError::file("remove", &self.0)(source)),
            _ => Ok(()),
        }
    }
}

/// A config.json and its text.
pub(super) fn read_spec(path: &Path) -> Result<(Spec, Vec<u8>), CommandError> {
    const LARGEST: u64 = 16 << 20;
    let invalid = |reason: String| CommandError::Config {
        path: path.to_owned(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(CommandError::file("read", path))?;
    if metadata.len() > LARGEST {
        return Err(invalid(format!(
            "{} bytes; a config.json has 16 MB at most",
            metadata.len()
        )));
    }
    let text = fs::read(path).map_err(CommandError::file("read", path))?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    if !spec.version().starts_with("1.") {
        return Err(invalid(format!(
            "ociVersion {:?}: versions 1.x are carried out",
            spec.version()
        )));
    }
    Ok((spec, text))
}

impl Record {
    pub(super) fn cgroup(&self) -> Option<CgroupPath> {
        CgroupPath::parse(self.cgroup.as_deref()?).ok()
    }

    /// Whether its first process is there, zombies aside.
    pub(super) fn alive(&self) -> bool {
        self.pid > 0 && process(Pid::from_raw(self.pid)) == Some((self.began, true))
    }

    pub(super) fn status(&self, cgroups: Option<&dyn Driver>) -> Status {
        if self.pid == 0 {
            return Status::Creating;
        }
        if !self.alive() {
            return Status::Stopped;
        }
        let frozen = |path: CgroupPath| cgroups.and_then(|driver| driver.frozen(&path));
        if self.cgroup().and_then(frozen) == Some(true) {
            return Status::Paused;
        }
        if self.started { Status::Running } else { Status::Created }
    }

    /// As it is told to others.
    pub(super) fn state(&self, status: Status, annotations: impl IntoIterator<Item = (String, String)>) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: annotations.into_iter().collect(),
            owner: String::new(),
        }
    }
}

/// When a process began, and whether it is more than a zombie (proc_pid_stat(5), fields 22 and 3).
pub(super) fn process(pid: Pid) -> Option<(u64, bool)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    began(&text)
}

fn began(stat: &str) -> Option<(u64, bool)> {
    // The name stands in parentheses and may hold any.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let began = fields.nth(18)?.parse().ok()?;
    Some((began, !matches!(state, "Z" | "X" | "x")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_beginning() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9";
        assert_eq!(began(stat), Some((4711, true)));
        assert_eq!(began(&stat.replace(") S ", ") Z ")), Some((4711, false)));
        assert_eq!(began("cut"), None);
    }

    #[test]
    fn ids_are_names_of_directories_and_no_more() {
        for id in ["a", "a.b_c+d-E9", &"x".repeat(MAX_ID)] {
            assert!(Place::of(Path::new("/r"), id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(MAX_ID + 1)] {
            assert!(Place::of(Path::new("/r"), id).is_err(), "{id}");
        }
    }

    #[test]
    fn an_id_is_claimed_once() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let place = Place::of(&root.path().join("deep/er"), "a").expect("a place");
        assert!(matches!(place.load(), Err(CommandError::NotFound)));
        place.make().expect("it is free");
        assert!(matches!(place.make(), Err(CommandError::Exists(id)) if id == "a"));
        place.remove().expect("it is removed");
        place.remove().expect("it is gone already");
        place.make().expect("it is free again");
    }
}
