//! Mounts of config.json as calls of the mount API: option words sorted into attributes, propagation and the
//! filesystem's own options (runtime-spec, config.md, "mounts").

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, Mount};

use super::PlanError;
use super::options::Words;
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
    /// The container's own cgroup on the host, to be bound for one without a cgroup namespace: a new mount would show it
    /// the whole host's.
    pub bound: Option<PathBuf>,
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

/// Owners of files, translated for one mount alone: lines of uid_map and gid_map (user_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Users.
    pub uids: String,
    /// Groups.
    pub gids: String,
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
    /// A mapping of its own, in place of the container's.
    pub mapping: Option<Mapping>,
    /// Whether mounts below it are mapped, too.
    pub maps_below: bool,
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
    /// Whether it begins with a copy of what it covers.
    pub copy_up: bool,
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
        clear: words.recursive_clear,
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
        idmapped: idmapped(mount, words, users)?,
        mapping: mapping(mount, users),
        maps_below: words.idmap == Some(true),
        sub_path: None,
    })
}

/// Whether the container's own user namespace translates: it is asked for by the same mapping, or by the option alone.
fn idmapped(mount: &Mount, words: &Words, users: Option<&UserNamespace>) -> Result<bool, PlanError> {
    match (mount.uid_mappings(), mount.gid_mappings()) {
        (Some(uids), Some(gids)) => Ok(users.is_some() && as_users(uids, gids).as_ref() == users),
        _ if words.idmap.is_none() => Ok(false),
        _ if users.is_some() => Ok(true),
        _ => Err(PlanError::Unsupported {
            field: "mounts[].options",
            value: "idmap".to_owned(),
            why: "there is neither a mapping of the mount nor a user namespace whose mapping it could be",
        }),
    }
}

fn as_users(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Option<UserNamespace> {
    let both = IdRange::of_oci(uids).zip(IdRange::of_oci(gids));
    both.map(|(uids, gids)| UserNamespace { uids, gids })
}

/// Any other mapping is the mount's alone.
fn mapping(mount: &Mount, users: Option<&UserNamespace>) -> Option<Mapping> {
    let (uids, gids) = (mount.uid_mappings().as_ref()?, mount.gid_mappings().as_ref()?);
    if users.is_some() && as_users(uids, gids).as_ref() == users {
        return None;
    }
    let lines = |mappings: &[LinuxIdMapping]| {
        let line = |one: &LinuxIdMapping| format!("{} {} {}\n", one.container_id(), one.host_id(), one.size());
        mappings.iter().map(line).collect()
    };
    Some(Mapping {
        uids: lines(uids),
        gids: lines(gids),
    })
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
        // What is copied into it has to be written first.
        attributes: if words.copy_up {
            words.set & !attribute::RDONLY
        } else {
            words.set
        },
        propagation: if words.propagation_given { words.propagation } else { 0 },
        seal: words.copy_up && words.set & attribute::RDONLY != 0,
        copy_up: words.copy_up,
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
        if let Some(own) = &hierarchy.bound {
            plans.push(MountPlan::Bind(BindPlan {
                source: c_string("linux.cgroupsPath", own.as_os_str().as_encoded_bytes())?,
                destination: at,
                recursive: false,
                attributes: MountAttributes {
                    set: words.set,
                    ..MountAttributes::default()
                },
                recursive_attributes: MountAttributes::default(),
                idmapped: false,
                mapping: None,
                maps_below: false,
                sub_path: None,
            }));
            continue;
        }
        plans.push(MountPlan::New(new_mount(hierarchy.filesystem, at, &own)?));
    }
    Ok(plans)
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}
