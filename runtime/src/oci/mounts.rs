//! A container's mounts: what every container has, the pod's files in /etc, and what the kubelet asks for.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use minik_api::cri;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount, MountBuilder};

use super::{SpecError, SpecInputs};
use crate::user_namespace::UserNamespace;

/// What a mount may be restricted to besides being read-only.
const RESTRICTIONS: [&str; 3] = ["noexec", "nodev", "nosuid"];

pub(super) fn mounts(inputs: &SpecInputs<'_>) -> Result<Vec<Mount>, SpecError> {
    let mut asked = inputs
        .container
        .mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| match inputs.image_volumes.get(index) {
            Some(layers) if mount.image.is_some() => image_volume(mount, layers, inputs.users()?),
            _ => asked(mount),
        })
        .collect::<Result<Vec<_>, _>>()?;
    // What is mounted on a parent directory later would hide it; mounts at the same depth keep their order.
    asked.sort_by_key(|mount| mount.destination().components().count());
    let taken = |destination: &Path| asked.iter().any(|mount| mount.destination() == destination);
    let mut all = defaults(inputs);
    all.extend(pod_files(inputs));
    all.retain(|mount| !taken(mount.destination()));
    all.extend(asked);
    Ok(all)
}

fn defaults(inputs: &SpecInputs<'_>) -> Vec<Mount> {
    let context = inputs.security();
    let writable = if context.privileged { "rw" } else { "ro" };
    let shm = if inputs.pod_namespaces().ipc() == cri::NamespaceMode::Node {
        bind("/dev/shm", Path::new("/dev/shm"), &["rbind", "rprivate", "rw"])
    } else {
        bind(
            "/dev/shm",
            &inputs.sandbox_dir.join("shm"),
            &["rbind", "rprivate", "rw"],
        )
    };
    vec![
        new("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        new("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        new(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        new("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        shm,
        new("/sys", "sysfs", &["nosuid", "noexec", "nodev", writable]),
        new(
            "/sys/fs/cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", writable],
        ),
    ]
}

/// Written by the sandbox; one that the kubelet mounts itself takes its place.
fn pod_files(inputs: &SpecInputs<'_>) -> Vec<Mount> {
    let access = if inputs.security().readonly_rootfs { "ro" } else { "rw" };
    let file = |name: &str| {
        bind(
            &format!("/etc/{name}"),
            &inputs.sandbox_dir.join(name),
            &["rbind", "rprivate", access],
        )
    };
    ["hostname", "hosts", "resolv.conf"].map(file).into()
}

/// An image as a volume: its layers, read-only. One layer needs nothing to put it together.
fn image_volume(mount: &cri::Mount, layers: &[PathBuf], users: Option<UserNamespace>) -> Result<Mount, SpecError> {
    let refuse = |reason| refused(mount, reason);
    let destination = destination(mount)?;
    if !mount.host_path.is_empty() {
        return Err(refuse("a volume is an image or a path of the host, not both"));
    }
    let restrictions = restrictions(mount)?;
    let part = Path::new(&mount.image_sub_path);
    if part.is_absolute() || part.components().any(|part| part == Component::ParentDir) {
        return Err(refuse("image_sub_path leads out of the image"));
    }
    if let [only] = layers {
        let mut made = bind(
            &destination.to_string_lossy(),
            only,
            &[&["bind", "private", "ro"], restrictions.as_slice()].concat(),
        );
        if let Some(users) = users {
            made.set_uid_mappings(Some(users.uids.to_oci()))
                .set_gid_mappings(Some(users.gids.to_oci()));
        }
        return Ok(made);
    }
    let layers: Vec<&str> = layers.iter().filter_map(|layer| layer.to_str()).collect();
    let lower = format!("lowerdir={}", layers.join(":"));
    let options = [&["ro", lower.as_str()], restrictions.as_slice()].concat();
    Ok(new(&destination.to_string_lossy(), "overlay", &options))
}

/// What the shim needs besides to mount only parts of images.
pub(super) fn sub_paths(inputs: &SpecInputs<'_>) -> Option<String> {
    let mounts = inputs.container.mounts.iter();
    let parts = mounts.filter(|mount| mount.image.is_some() && !mount.image_sub_path.is_empty());
    let parts: BTreeMap<PathBuf, &str> = parts
        .filter_map(|mount| Some((destination(mount).ok()?, mount.image_sub_path.as_str())))
        .collect();
    (!parts.is_empty()).then(|| serde_json::to_string(&parts).expect("a map of strings"))
}

fn refused(mount: &cri::Mount, reason: &'static str) -> SpecError {
    SpecError::Mount {
        destination: mount.container_path.clone(),
        reason,
    }
}

/// What a mount is restricted to besides being read-only.
fn restrictions(mount: &cri::Mount) -> Result<Vec<&str>, SpecError> {
    let options = mount.mount_options.iter().map(String::as_str);
    match options.clone().find(|option| !RESTRICTIONS.contains(option)) {
        None => Ok(options.collect()),
        Some(other) => Err(SpecError::MountOption {
            destination: mount.container_path.clone(),
            option: other.to_owned(),
        }),
    }
}

/// Paths are cleaned as text, so that what is compared is what is mounted.
fn destination(mount: &cri::Mount) -> Result<PathBuf, SpecError> {
    if mount.container_path.is_empty() {
        return Err(refused(mount, "container_path is empty"));
    }
    let destination: PathBuf = Path::new("/").join(&mount.container_path).components().collect();
    if destination.components().any(|part| part == Component::ParentDir) {
        return Err(refused(mount, "container_path must not contain `..`"));
    }
    if destination == Path::new("/") {
        return Err(refused(mount, "nothing can be mounted at the root itself"));
    }
    Ok(destination)
}

fn asked(mount: &cri::Mount) -> Result<Mount, SpecError> {
    let refuse = |reason| refused(mount, reason);
    let destination = destination(mount)?;
    if mount.host_path.is_empty() {
        return Err(refuse("host_path is empty"));
    }
    let mapped = match (mount.uid_mappings.as_slice(), mount.gid_mappings.as_slice()) {
        ([], []) => None,
        ([uids], [gids]) => Some((linux_mapping(uids), linux_mapping(gids))),
        _ => return Err(refuse("a mount has one mapping of users and one of groups, or none")),
    };
    let propagation = match mount.propagation() {
        cri::MountPropagation::PropagationPrivate => "rprivate",
        cri::MountPropagation::PropagationHostToContainer => "rslave",
        cri::MountPropagation::PropagationBidirectional => "rshared",
    };
    let recursive_read_only = mount.recursive_read_only;
    if recursive_read_only && (!mount.readonly || propagation != "rprivate") {
        return Err(refuse("recursive_read_only needs readonly and private propagation"));
    }
    let access = match (mount.readonly, recursive_read_only) {
        (true, true) => "rro",
        (true, false) => "ro",
        (false, _) => "rw",
    };
    let options = [&["rbind", propagation, access], restrictions(mount)?.as_slice()].concat();
    let mut bind = bind(&destination.to_string_lossy(), Path::new(&mount.host_path), &options);
    if let Some((uids, gids)) = mapped {
        bind.set_uid_mappings(Some(vec![uids]))
            .set_gid_mappings(Some(vec![gids]));
    }
    Ok(bind)
}

fn linux_mapping(mapping: &cri::IdMapping) -> LinuxIdMapping {
    let builder = LinuxIdMappingBuilder::default()
        .container_id(mapping.container_id)
        .host_id(mapping.host_id)
        .size(mapping.length);
    builder.build().expect("all fields are set")
}

fn bind(destination: &str, source: &Path, options: &[&str]) -> Mount {
    mount(destination, "bind", source, options)
}

fn new(destination: &str, kind: &str, options: &[&str]) -> Mount {
    mount(destination, kind, Path::new(kind), options)
}

fn mount(destination: &str, kind: &str, source: &Path, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    let builder = MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options);
    builder.build().expect("all fields have defaults")
}
