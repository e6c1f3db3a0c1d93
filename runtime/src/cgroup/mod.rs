//! Control groups: limits, figures, out-of-memory kills, and the one sure way to end all processes of a container.
//!
//! ```text
//!   /kubepods/burstable/pod<uid>      made by the runtime with the pod's limits; the kubelet only names it
//!       <container id>                made for each start, removed when the container has ended
//! ```
//!
//! One [`Driver`] for what the host has: v2 alone, v1 alone, or both (hybrid: v1 hierarchies, and a v2 one that holds the
//! controllers that are left, often none). Which it is comes from trying: a directory made and removed in each hierarchy.
//! What a hierarchy lacks is left out and said in a note, it fails no container.

mod devices;
mod hierarchy;
mod limits;
mod stats;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use crate::launch::parent::CgroupEntry;
use crate::launch::plan::CgroupMount;

pub use stats::Stats;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The path of a cgroup is not absolute or leaves its parent.
    #[error("cgroup path {0:?}: must be absolute, without `.` or `..`")]
    Path(PathBuf),
    /// No hierarchy of any version takes a cgroup.
    #[error("no usable cgroup hierarchy: {0}; mount one with `mount -t cgroup2 none /sys/fs/cgroup`")]
    None(String),
    /// A directory can't be made.
    #[error("make cgroup {path}: {source}")]
    Create {
        /// Its path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A limit is refused.
    #[error("write {value:?} to {path}: {source}")]
    Write {
        /// The control file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A control file can't be read.
    #[error("read {path}: {source}")]
    Read {
        /// The control file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A cgroup can't be removed, most often because processes are in it.
    #[error("remove cgroup {path}: {source}")]
    Remove {
        /// Its path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Path of a cgroup, the same in each hierarchy: absolute, below the hierarchy's mount.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CgroupPath(PathBuf);

impl CgroupPath {
    /// Parses a `linux.cgroupsPath` or a pod's cgroup parent.
    ///
    /// # Errors
    /// It is not absolute, is the root, or has `.` or `..` in it.
    pub fn parse(path: &Path) -> Result<Self, CgroupError> {
        let relative = path.strip_prefix("/").map_err(|_| CgroupError::Path(path.to_owned()))?;
        let plain = relative
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if relative.as_os_str().is_empty() || !plain {
            return Err(CgroupError::Path(path.to_owned()));
        }
        Ok(Self(relative.to_owned()))
    }

    /// As it was parsed.
    #[must_use]
    pub fn as_path(&self) -> PathBuf {
        Path::new("/").join(&self.0)
    }

    /// Where it is below a hierarchy's mount.
    fn below(&self, mount: &Path) -> PathBuf {
        mount.join(&self.0)
    }

    /// All cgroups from the top down to this one.
    fn levels(&self) -> Vec<PathBuf> {
        let mut levels: Vec<PathBuf> = self
            .0
            .ancestors()
            .filter(|level| !level.as_os_str().is_empty())
            .map(Path::to_owned)
            .collect();
        levels.reverse();
        levels
    }
}

/// What a container needs of cgroups, whatever their version.
pub trait Driver: Debug + Send + Sync {
    /// `v1`, `v2` or `hybrid`.
    fn version(&self) -> &'static str;
    /// What the host lacks, for the user.
    fn notes(&self) -> &[String];
    /// Makes a cgroup and the parents it needs; fine when it is there.
    ///
    /// # Errors
    /// A directory can't be made.
    fn create(&self, path: &CgroupPath) -> Result<(), CgroupError>;
    /// Sets limits; returns notes on those that the host has no controller for.
    ///
    /// # Errors
    /// The kernel refuses a value.
    fn apply(&self, path: &CgroupPath, resources: &LinuxResources) -> Result<Vec<String>, CgroupError>;
    /// How a new process gets in.
    ///
    /// # Errors
    /// The cgroup is gone.
    fn entry(&self, path: &CgroupPath) -> Result<CgroupEntry, CgroupError>;
    /// Moves a running process in.
    ///
    /// # Errors
    /// The process or the cgroup is gone.
    fn add(&self, path: &CgroupPath, pid: Pid) -> Result<(), CgroupError>;
    /// Figures of the cgroup and all below.
    ///
    /// # Errors
    /// The cgroup is gone.
    fn stats(&self, path: &CgroupPath) -> Result<Stats, CgroupError>;
    /// How many processes the kernel has killed here because the memory limit was reached; 0 when it can't be told.
    fn oom_kills(&self, path: &CgroupPath) -> u64;
    /// Processes in the cgroup and all below.
    ///
    /// # Errors
    /// The cgroup is gone.
    fn processes(&self, path: &CgroupPath) -> Result<Vec<Pid>, CgroupError>;
    /// Sends SIGKILL to all processes in the cgroup and all below; fine when it is gone.
    ///
    /// # Errors
    /// Its processes can't be listed.
    fn kill(&self, path: &CgroupPath) -> Result<(), CgroupError>;
    /// Stops the clock of all processes in the cgroup and all below, or lets them go on. The kernel does so in a moment.
    ///
    /// # Errors
    /// The host can't, or the cgroup is gone.
    fn freeze(&self, path: &CgroupPath, frozen: bool) -> Result<(), CgroupError>;
    /// Removes the cgroup and all below; fine when it is gone.
    ///
    /// # Errors
    /// A process is left in it.
    fn remove(&self, path: &CgroupPath) -> Result<(), CgroupError>;
    /// Whether [`Driver::freeze`] has stopped the processes by now; `None` when the host can't tell.
    fn frozen(&self, path: &CgroupPath) -> Option<bool>;
    /// Where the cgroup is in the hierarchies, by the names that [`Driver::mounts`] has; empty for v2 alone.
    fn places(&self, path: &CgroupPath) -> Vec<(String, PathBuf)>;
    /// Whether limits say which devices may be opened.
    fn controls_devices(&self) -> bool;
    /// Where the v2 hierarchy of a hybrid host is mounted, if it has controllers: crun refuses such a host.
    fn hybrid_mount(&self) -> Option<&Path> {
        None
    }
    /// What to mount at /sys/fs/cgroup in a container.
    fn mounts(&self) -> Vec<CgroupMount>;
}

/// What is mounted, untried: for one who makes a single cgroup and is told by that whether it can be made.
///
/// # Errors
/// No hierarchy is mounted.
pub fn mounted() -> Result<Box<dyn Driver>, CgroupError> {
    driver(&mut |_| true, Vec::new)
}

/// Finds out what this host has.
///
/// # Errors
/// No hierarchy takes a cgroup.
pub fn detect() -> Result<Box<dyn Driver>, CgroupError> {
    let notes = std::cell::RefCell::new(Vec::new());
    let mut usable = |hierarchy: &hierarchy::Hierarchy| match hierarchy::trial(hierarchy) {
        Ok(()) => true,
        Err(error) => {
            notes.borrow_mut().push(format!(
                "cgroups at {} can't be used: {error}",
                hierarchy.mount.display()
            ));
            false
        }
    };
    driver(&mut usable, || notes.borrow().clone())
}

fn driver(
    usable: &mut dyn FnMut(&hierarchy::Hierarchy) -> bool,
    notes: impl FnOnce() -> Vec<String>,
) -> Result<Box<dyn Driver>, CgroupError> {
    let path = PathBuf::from("/proc/self/mountinfo");
    let text = std::fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })?;
    let found = hierarchy::parse(&text);
    let (v2, v1): (Vec<_>, Vec<_>) = found.into_iter().filter(|h| usable(h)).partition(|h| h.version == 2);
    let notes = notes();
    let v2 = v2
        .into_iter()
        .next()
        .map(|hierarchy| v2::V2::new(hierarchy.mount, notes.clone()));
    if v1.iter().any(|hierarchy| !hierarchy.controllers.is_empty()) {
        return Ok(Box::new(v1::V1::new(v1, v2, notes)));
    }
    match v2 {
        Some(v2) => Ok(Box::new(v2)),
        None => Err(CgroupError::None(if notes.is_empty() {
            "none is mounted".to_owned()
        } else {
            notes.join("; ")
        })),
    }
}

/// Makes `path` and what it needs above itself, doing `each` for every level that is new or old.
fn create_levels(
    mount: &Path,
    path: &CgroupPath,
    mut each: impl FnMut(&Path) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    for level in path.levels() {
        let directory = mount.join(level);
        match std::fs::create_dir(&directory) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(CgroupError::Create {
                    path: directory,
                    source,
                });
            }
            _ => each(&directory)?,
        }
    }
    Ok(())
}

/// Removes a cgroup directory with those below it, deepest first.
fn remove_tree(directory: &Path) -> Result<(), CgroupError> {
    let children = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&child.path())?;
    }
    match std::fs::remove_dir(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CgroupError::Remove {
            path: directory.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Processes of a cgroup directory and those below it.
fn processes_of(directory: &Path) -> Result<Vec<Pid>, CgroupError> {
    let path = directory.join("cgroup.procs");
    let text = read(&path)?;
    let mut pids: Vec<Pid> = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .map(Pid::from_raw)
        .collect();
    let children = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        pids.extend(processes_of(&child.path())?);
    }
    Ok(pids)
}

fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    // Not created when missing: cgroupfs has no files but its own, and would answer EACCES.
    let written = std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| {
        use io::Write as _;
        file.write_all(value.as_bytes())
    });
    written.map_err(|source| CgroupError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    })
}
