//! Option words of mounts, as mount(8) and the specification know them (runtime-spec, config.md, "Linux mount options"):
//! each is an attribute to set or clear, a propagation, or the filesystem's own.

use std::path::PathBuf;

use nix::mount::MsFlags;

use super::PlanError;
use crate::sys::mounts::{MountAttributes, attribute};

/// Option words that are no filesystem's own (features.md, "mountOptions").
pub const MOUNT_OPTIONS: [&str; 55] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "exec",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "rexec",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "tmpcopyup",
    "unbindable",
    "nofail",
    "idmap",
    "ridmap",
];

/// Option words, sorted.
#[derive(Debug, Default, Clone)]
pub(super) struct Words {
    pub(super) bind: bool,
    pub(super) recursive: bool,
    pub(super) set: u64,
    pub(super) clear: u64,
    pub(super) recursive_set: u64,
    pub(super) recursive_clear: u64,
    pub(super) propagation: u64,
    pub(super) propagation_recursive: bool,
    pub(super) propagation_given: bool,
    pub(super) copy_up: bool,
    /// Whether mounts below are mapped, too, when mapping was asked for.
    pub(super) idmap: Option<bool>,
    pub(super) data: Vec<String>,
}

impl Words {
    pub(super) fn sort(options: &[String]) -> Result<Self, PlanError> {
        // Without a word about it nothing propagates: a copy of a shared mount would else stay its peer.
        let mut words = Self {
            propagation: MsFlags::MS_PRIVATE.bits(),
            propagation_recursive: true,
            ..Self::default()
        };
        for option in options {
            words.take(option)?;
        }
        Ok(words)
    }

    /// Attributes of a mount alone, without those below it.
    pub(super) fn own(&self) -> MountAttributes {
        MountAttributes {
            set: self.set,
            clear: self.clear,
            propagation: if self.propagation_recursive {
                0
            } else {
                self.propagation
            },
            userns_fd: 0,
        }
    }

    /// The directories of an overlay that is only to be read, topmost first.
    pub(super) fn layers(&self, kind: &str) -> Option<Vec<PathBuf>> {
        let [only] = self.data.as_slice() else { return None };
        let lower = only.strip_prefix("lowerdir=").filter(|_| kind == "overlay")?;
        Some(lower.split(':').map(PathBuf::from).collect())
    }

    fn take(&mut self, option: &str) -> Result<(), PlanError> {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "ro" => self.set(attribute::RDONLY),
            "rw" => self.clear(attribute::RDONLY),
            "nosuid" => self.set(attribute::NOSUID),
            "suid" => self.clear(attribute::NOSUID),
            "nodev" => self.set(attribute::NODEV),
            "dev" => self.clear(attribute::NODEV),
            "noexec" => self.set(attribute::NOEXEC),
            "exec" => self.clear(attribute::NOEXEC),
            "nosymfollow" => self.set(attribute::NOSYMFOLLOW),
            "nodiratime" => self.set(attribute::NODIRATIME),
            "noatime" => self.access_time(attribute::NOATIME),
            "strictatime" => self.access_time(attribute::STRICTATIME),
            "relatime" | "atime" => self.access_time(0),
            "rro" => self.recursive_set |= attribute::RDONLY,
            "rnosuid" => self.recursive_set |= attribute::NOSUID,
            "rnodev" => self.recursive_set |= attribute::NODEV,
            "rnoexec" => self.recursive_set |= attribute::NOEXEC,
            "rnosymfollow" => self.recursive_set |= attribute::NOSYMFOLLOW,
            "rrw" => self.recursive_clear |= attribute::RDONLY,
            "rsuid" => self.recursive_clear |= attribute::NOSUID,
            "rdev" => self.recursive_clear |= attribute::NODEV,
            "rexec" => self.recursive_clear |= attribute::NOEXEC,
            "rsymfollow" => self.recursive_clear |= attribute::NOSYMFOLLOW,
            "rdiratime" => self.recursive_clear |= attribute::NODIRATIME,
            "rnodiratime" => self.recursive_set |= attribute::NODIRATIME,
            "rnoatime" => self.recursive_access_time(attribute::NOATIME),
            "rstrictatime" => self.recursive_access_time(attribute::STRICTATIME),
            "rrelatime" | "ratime" | "rnorelatime" | "rnostrictatime" => self.recursive_access_time(0),
            "symfollow" => self.clear(attribute::NOSYMFOLLOW),
            "diratime" => self.clear(attribute::NODIRATIME),
            "norelatime" | "nostrictatime" => self.access_time(0),
            // Superblock flags that mount(8) keeps to itself, or that mean what happens anyway.
            "defaults" | "async" | "nofail" | "loud" | "noiversion" | "nomand" => {}
            "tmpcopyup" => self.copy_up = true,
            "private" | "rprivate" => self.propagate(MsFlags::MS_PRIVATE, option),
            "slave" | "rslave" => self.propagate(MsFlags::MS_SLAVE, option),
            "shared" | "rshared" => self.propagate(MsFlags::MS_SHARED, option),
            "unbindable" | "runbindable" => self.propagate(MsFlags::MS_UNBINDABLE, option),
            "idmap" => self.idmap = Some(false),
            "ridmap" => self.idmap = Some(true),
            "remount" => {
                return Err(PlanError::Unsupported {
                    field: "mounts[].options",
                    value: option.to_owned(),
                    why: "a mount is made once, with all its options",
                });
            }
            other => self.data.push(other.to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, bit: u64) {
        self.set |= bit;
        self.clear &= !bit;
    }

    fn clear(&mut self, bit: u64) {
        self.clear |= bit;
        self.set &= !bit;
    }

    /// The access time is a field, not a bit: all of it has to be cleared when it is set (mount_setattr(2)).
    fn access_time(&mut self, mode: u64) {
        self.clear |= attribute::ATIME;
        self.set = self.set & !attribute::ATIME | mode;
    }

    fn recursive_access_time(&mut self, mode: u64) {
        self.recursive_clear |= attribute::ATIME;
        self.recursive_set = self.recursive_set & !attribute::ATIME | mode;
    }

    fn propagate(&mut self, kind: MsFlags, option: &str) {
        self.propagation = kind.bits();
        self.propagation_recursive = option.starts_with('r');
        self.propagation_given = true;
    }
}

/// `MS_*` of linux.rootfsPropagation, recursive or not; 0 when it isn't given.
pub(super) fn rootfs_propagation(word: Option<&str>) -> Result<u64, PlanError> {
    let recursive = MsFlags::MS_REC;
    let flags = match word.unwrap_or_default() {
        "" => return Ok(0),
        "private" => MsFlags::MS_PRIVATE,
        "rprivate" => MsFlags::MS_PRIVATE | recursive,
        "slave" => MsFlags::MS_SLAVE,
        "rslave" => MsFlags::MS_SLAVE | recursive,
        "shared" => MsFlags::MS_SHARED,
        "rshared" => MsFlags::MS_SHARED | recursive,
        "unbindable" => MsFlags::MS_UNBINDABLE,
        "runbindable" => MsFlags::MS_UNBINDABLE | recursive,
        other => {
            return Err(PlanError::Unsupported {
                field: "linux.rootfsPropagation",
                value: other.to_owned(),
                why: "private, slave, shared and unbindable are known, each also with r before it",
            });
        }
    };
    Ok(flags.bits())
}
