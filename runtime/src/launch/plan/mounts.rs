//! Mounts of config.json as calls of the mount API: option words sorted into attributes, propagation and the
//! filesystem's own options (runtime-spec, config.md, "mounts").

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use oci_spec::runtime::Mount;

use super::PlanError;
use super::process::c_string;
use super::rootfs::{self, Overlay};
use crate::sys::mounts::{MountAttributes, attribute};
use crate::user_namespace::{IdRange, UserNamespace};

/// One mount of a cgroup hierarchy in the container, as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMount {
    /// Directory below /sys/fs/cgroup; empty for a host with cgroup v2 alone.
    pub directory: String,
    /// `cgroup` or `cgroup2`.
    pub filesystem: &'static str,
    /// Controllers and `name=`, as mount options.
    pub options: Vec<String>,
}

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub enum MountPlan {
    /// A directory or file of the host.
    Bind(BindPlan),
    /// A new filesystem.
    New(NewMountPlan),
    /// Layers of an image, one above the other, read-only.
    Layers(LayersPlan),
}

/// A bind mount.
#[derive(Debug, PartialEq, Eq)]
pub struct BindPlan {
    /// Path on the host.
    pub source: CString,
    /// Path relative to the container's root.
    pub destination: PathBuf,
    /// Whether mounts below the source come along.
    pub recursive: bool,
    /// Attributes of the mount at the destination alone.
    pub attributes: MountAttributes,
    /// Attributes of it and of all mounts below.
    pub recursive_attributes: MountAttributes,
    /// Whether its files' owners are translated by the container's user namespace.
    pub idmapped: bool,
    /// The part below the source to mount, if it isn't all.
    pub sub_path: Option<PathBuf>,
}

/// Filesystems that the host's root makes even for a container with users of its own: the kernel lets others mount them only
/// where they see all of the host's, which a host that is a container itself doesn't.
const OF_HOST: [&CStr; 4] = [c"proc", c"sysfs", c"cgroup", c"cgroup2"];

/// An image's layers where a volume is.
#[derive(Debug, PartialEq, Eq)]
pub struct LayersPlan {
    /// What to mount.
    pub overlay: Overlay,
    /// Path relative to the container's root.
    pub destination: PathBuf,
    /// The part to mount, if it isn't all.
    pub sub_path: Option<PathBuf>,
    /// Attributes of the mount.
    pub attributes: MountAttributes,
}

/// A new filesystem instance.
#[derive(Debug, PartialEq, Eq)]
pub struct NewMountPlan {
    /// Filesystem type.
    pub filesystem: CString,
    /// Path relative to the container's root.
    pub destination: PathBuf,
    /// Options of the filesystem.
    pub options: Vec<(CString, Option<CString>)>,
    /// `MOUNT_ATTR_*`.
    pub attributes: u64,
    /// Propagation to set afterwards; 0 for none.
    pub propagation: u64,
    /// Whether it becomes read-only once the mounts below it have their mount points.
    pub seal: bool,
}

impl NewMountPlan {
    /// Whether it is made before the container's user namespace is entered.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        OF_HOST.contains(&self.filesystem.as_c_str())
    }

    /// Whether it shows the kernel itself.
    #[must_use]
    pub fn is_of_kernel(&self) -> bool {
        [c"proc", c"sysfs"].contains(&self.filesystem.as_c_str())
    }
}

impl MountPlan {
    /// Path relative to the container's root.
    #[must_use]
    pub fn destination(&self) -> &Path {
        match self {
            Self::Bind(bind) => &bind.destination,
            Self::New(new) => &new.destination,
            Self::Layers(layers) => &layers.destination,
        }
    }

    /// Whether it shows something of the host.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        !matches!(self, Self::New(_))
    }
}

pub(super) fn mounts(
    mounts: &[Mount],
    sub_paths: &HashMap<PathBuf, PathBuf>,
    cgroups: &[CgroupMount],
    users: Option<&UserNamespace>,
) -> Result<Vec<MountPlan>, PlanError> {
    let mut plans = Vec::with_capacity(mounts.len() + cgroups.len());
    for mount in mounts {
        let words = Words::sort(mount.options().as_deref().unwrap_or_default())?;
        let destination = relative(mount.destination());
        let kind = mount.typ().as_deref().unwrap_or("none");
        let sub_path = sub_paths.get(mount.destination()).cloned();
        if words.bind || kind == "bind" {
            let bind = bind(mount, destination, &words, users)?;
            plans.push(MountPlan::Bind(BindPlan { sub_path, ..bind }));
        } else if let Some(lower) = words.layers(kind) {
            plans.push(MountPlan::Layers(LayersPlan {
                overlay: rootfs::overlay(&lower, None, users.is_some())?,
                destination,
                sub_path,
                attributes: words.own(),
            }));
        } else if kind == "cgroup" || kind == "cgroup2" {
            plans.extend(cgroup(&destination, &words, cgroups)?);
        } else {
            plans.push(MountPlan::New(new_mount(kind, destination, &words)?));
        }
    }
    Ok(plans)
}

fn bind(
    mount: &Mount,
    destination: PathBuf,
    words: &Words,
    users: Option<&UserNamespace>,
) -> Result<BindPlan, PlanError> {
    let source = mount.source().as_ref().ok_or(PlanError::Missing("mounts[].source"))?;
    let all = MountAttributes {
        set: words.recursive_set,
        propagation: if words.propagation_recursive {
            words.propagation
        } else {
            0
        },
        ..MountAttributes::default()
    };
    Ok(BindPlan {
        source: c_string("mounts[].source", source.as_os_str().as_encoded_bytes())?,
        destination,
        recursive: words.recursive,
        attributes: words.own(),
        recursive_attributes: all,
        idmapped: idmapped(mount, users)?,
        sub_path: None,
    })
}

/// A mount's own mapping has to be the container's: there is no other user namespace to translate by.
fn idmapped(mount: &Mount, users: Option<&UserNamespace>) -> Result<bool, PlanError> {
    let (Some(uids), Some(gids)) = (mount.uid_mappings(), mount.gid_mappings()) else {
        return Ok(false);
    };
    let asked = IdRange::of_oci(uids).zip(IdRange::of_oci(gids));
    match asked.map(|(uids, gids)| UserNamespace { uids, gids }) {
        Some(asked) if Some(&asked) == users => Ok(true),
        _ => Err(PlanError::Unsupported {
            field: "mounts[].uidMappings",
            value: mount.destination().display().to_string(),
            why: "a mount is mapped as its container's user namespace is",
        }),
    }
}

fn new_mount(kind: &str, destination: PathBuf, words: &Words) -> Result<NewMountPlan, PlanError> {
    let mut options = Vec::with_capacity(words.data.len());
    for word in &words.data {
        let (key, value) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(key, value)| (key, Some(value)));
        let value = value
            .map(|value| c_string("mounts[].options", value.as_bytes()))
            .transpose()?;
        options.push((c_string("mounts[].options", key.as_bytes())?, value));
    }
    Ok(NewMountPlan {
        filesystem: c_string("mounts[].type", kind.as_bytes())?,
        destination,
        options,
        attributes: words.set,
        propagation: if words.propagation_given { words.propagation } else { 0 },
        seal: false,
    })
}

/// What the host has, seen from the container's own cgroup namespace: one mount on v2; a tmpfs with a directory for each
/// hierarchy on v1 and hybrid.
fn cgroup(destination: &Path, words: &Words, cgroups: &[CgroupMount]) -> Result<Vec<MountPlan>, PlanError> {
    if let [only] = cgroups
        && only.directory.is_empty()
    {
        let own = Words {
            data: Vec::new(),
            ..words.clone()
        };
        return Ok(vec![MountPlan::New(new_mount(
            only.filesystem,
            destination.to_owned(),
            &own,
        )?)]);
    }
    let shelf = Words {
        data: vec!["mode=755".to_owned()],
        set: words.set & !attribute::RDONLY,
        ..words.clone()
    };
    let mut shelf = new_mount("tmpfs", destination.to_owned(), &shelf)?;
    shelf.seal = words.set & attribute::RDONLY != 0;
    let mut plans = vec![MountPlan::New(shelf)];
    for hierarchy in cgroups {
        let own = Words {
            data: hierarchy.options.clone(),
            ..words.clone()
        };
        let at = destination.join(&hierarchy.directory);
        plans.push(MountPlan::New(new_mount(hierarchy.filesystem, at, &own)?));
    }
    Ok(plans)
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

/// Option words, sorted.
#[derive(Debug, Default, Clone)]
struct Words {
    bind: bool,
    recursive: bool,
    set: u64,
    clear: u64,
    recursive_set: u64,
    propagation: u64,
    propagation_recursive: bool,
    propagation_given: bool,
    data: Vec<String>,
}

impl Words {
    fn sort(options: &[String]) -> Result<Self, PlanError> {
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
    fn own(&self) -> MountAttributes {
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
    fn layers(&self, kind: &str) -> Option<Vec<PathBuf>> {
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
            "defaults" => {}
            "private" | "rprivate" => self.propagate(MsFlags::MS_PRIVATE, option),
            "slave" | "rslave" => self.propagate(MsFlags::MS_SLAVE, option),
            "shared" | "rshared" => self.propagate(MsFlags::MS_SHARED, option),
            "unbindable" | "runbindable" => self.propagate(MsFlags::MS_UNBINDABLE, option),
            "remount" | "idmap" | "ridmap" | "tmpcopyup" => {
                return Err(PlanError::Unsupported {
                    field: "mounts[].options",
                    value: option.to_owned(),
                    why: "remounts, idmapped mounts and copied-up tmpfs are not made",
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

    fn propagate(&mut self, kind: MsFlags, option: &str) {
        self.propagation = kind.bits();
        self.propagation_recursive = option.starts_with('r');
        self.propagation_given = true;
    }
}
