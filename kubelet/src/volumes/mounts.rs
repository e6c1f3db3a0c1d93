//! A container's mounts: its volumes, and the files that every container gets.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use minik_api::cri::{ImageSpec, Mount, MountPropagation, UserNamespace};

use super::{VolumeError, files, sub_path};
use crate::pod::Pod;
use crate::spec::{Node, env, expand};

/// Where a container's last words go unless it says otherwise.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// What a run's mounts are made from.
pub(crate) struct Parts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) attempt: u32,
    pub(crate) pod_ips: &'a [String],
    pub(crate) environment: &'a [(String, String)],
    /// What the runtime calls the images of volumes, by the volumes' names.
    pub(crate) images: &'a BTreeMap<String, String>,
    /// Whether the runtime can make mounts read-only with all that is mounted below.
    pub(crate) recursive_read_only: bool,
    /// The pod's users, by whose numbers owners of files are translated.
    pub(crate) users: Option<&'a UserNamespace>,
    pub(crate) node: &'a Node,
}

/// All mounts of this run; makes what has to be there.
pub(crate) fn of(parts: &Parts<'_>) -> Result<Vec<Mount>, VolumeError> {
    let mut mounts = Vec::new();
    for wanted in parts.container.volume_mounts.iter().flatten() {
        mounts.push(volume(parts, wanted)?);
    }
    if !mounts.iter().any(|mount| mount.container_path == "/etc/hosts") {
        let path = files::hosts(parts.pod, parts.pod_ips, parts.node)?;
        mounts.push(bind(&path, "/etc/hosts"));
    }
    let path = parts
        .container
        .termination_message_path
        .as_deref()
        .filter(|path| !path.is_empty());
    let log = files::termination_log(parts.pod, &parts.container.name, parts.attempt, parts.node)?;
    mounts.push(bind(&log, path.unwrap_or(TERMINATION_LOG)));
    if let Some(users) = parts.users {
        for mount in mounts.iter_mut().filter(|mount| mount.image.is_none()) {
            mount.uid_mappings.clone_from(&users.uids);
            mount.gid_mappings.clone_from(&users.gids);
        }
    }
    Ok(mounts)
}

fn volume(parts: &Parts<'_>, wanted: &VolumeMount) -> Result<Mount, VolumeError> {
    let volumes = parts.pod.spec.volumes.iter().flatten();
    let found = volumes.into_iter().find(|volume| volume.name == wanted.name);
    let volume = found.ok_or_else(|| VolumeError::Unsupported(wanted.name.clone()))?;
    let below = match (&wanted.sub_path_expr, &wanted.sub_path) {
        (Some(text), _) if !text.is_empty() => Some(expand::expand(text, |name| env::lookup(parts.environment, name))),
        (_, Some(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    if volume.image.is_some() {
        return image(parts, wanted, below.unwrap_or_default());
    }
    let mut path = super::path(parts.pod, volume, parts.node);
    if let Some(below) = below {
        path = sub_path::resolve(&path, &below)?;
    } else if volume.host_path.is_some() && !path.exists() {
        // As Docker did and Kubernetes still does: a host path without a type is made.
        files::directory(&path, 0o755)?;
    }
    let is_payload = volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some();
    Ok(Mount {
        readonly: wanted.read_only == Some(true) || is_payload,
        recursive_read_only: recursive_read_only(parts, wanted)?,
        propagation: propagation(wanted).into(),
        ..bind(&path, &wanted.mount_path)
    })
}

/// An image, which the runtime mounts itself.
fn image(parts: &Parts<'_>, wanted: &VolumeMount, sub_path: String) -> Result<Mount, VolumeError> {
    let image = parts.images.get(&wanted.name);
    let image = image.ok_or_else(|| VolumeError::Unsupported(wanted.name.clone()))?;
    Ok(Mount {
        container_path: wanted.mount_path.clone(),
        readonly: true,
        image: Some(ImageSpec {
            image: image.clone(),
            ..Default::default()
        }),
        image_sub_path: sub_path,
        ..Default::default()
    })
}

/// `IfPossible` asks for it where it can be had, and where nothing comes in from the host later.
fn recursive_read_only(parts: &Parts<'_>, wanted: &VolumeMount) -> Result<bool, VolumeError> {
    match wanted.recursive_read_only.as_deref() {
        Some("Enabled") if parts.recursive_read_only => Ok(true),
        Some("Enabled") => Err(VolumeError::RecursiveReadOnly(wanted.name.clone())),
        Some("IfPossible") => Ok(parts.recursive_read_only
            && wanted.read_only == Some(true)
            && propagation(wanted) == MountPropagation::PropagationPrivate),
        _ => Ok(false),
    }
}

fn propagation(wanted: &VolumeMount) -> MountPropagation {
    match wanted.mount_propagation.as_deref() {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

fn bind(host: &Path, container: &str) -> Mount {
    Mount {
        container_path: container.to_owned(),
        host_path: host.to_string_lossy().into_owned(),
        ..Default::default()
    }
}
