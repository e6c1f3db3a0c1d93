//! A container's mounts: what every container has, the pod's files in /etc, and what the kubelet asks for.

use std::path::Path;

use minik_api::cri;
use oci_spec::runtime::{Mount, MountBuilder};

use super::{SpecError, SpecInputs};

pub(super) fn mounts(inputs: &SpecInputs<'_>) -> Result<Vec<Mount>, SpecError> {
    let mut asked = inputs
        .container
        .mounts
        .iter()
        .map(asked)
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

fn asked(mount: &cri::Mount) -> Result<Mount, SpecError> {
    let refuse = |reason| SpecError::Mount {
        destination: mount.container_path.clone(),
        reason,
    };
    if mount.container_path.is_empty() {
        return Err(refuse("container_path is empty"));
    }
    if mount.image.is_some() {
        return Err(refuse("image volumes are not supported"));
    }
    if mount.host_path.is_empty() {
        return Err(refuse("host_path is empty"));
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(refuse("idmapped mounts are not supported"));
    }
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
    // Paths are cleaned as text, so that what is compared is what is mounted.
    let destination = Path::new("/").join(&mount.container_path);
    let destination: std::path::PathBuf = destination.components().collect();
    if destination
        .components()
        .any(|part| part == std::path::Component::ParentDir)
    {
        return Err(refuse("container_path must not contain `..`"));
    }
    if destination == Path::new("/") {
        return Err(refuse("nothing can be mounted at the root itself"));
    }
    Ok(bind(
        &destination.to_string_lossy(),
        Path::new(&mount.host_path),
        &["rbind", propagation, access],
    ))
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
