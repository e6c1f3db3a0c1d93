//! Volumes: what a pod finds below its mount paths.
//!
//! ```text
//!   Pod.spec.volumes --payload (pure)--> files --atomic--> <pod dir>/volumes/NAME/{..data -> ..TIME, KEY -> ..data/KEY}
//!                    --empty_dir, host_path------------->  a directory, tmpfs or path of the host
//!   container.volumeMounts --mounts--> CRI mounts (with sub_path below the volume)
//! ```
//!
//! Everything lies below the pod's own directory, which goes away with the pod.

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Volume;

use crate::pod::Pod;
use crate::spec::references::Objects;
use crate::spec::{Node, fields};

pub(crate) mod atomic;
pub(crate) mod empty_dir;
pub(crate) mod files;
pub(crate) mod host_path;
pub(crate) mod mounts;
pub(crate) mod payload;
pub(crate) mod refresh;
pub(crate) mod sub_path;

/// A volume that can't be made. The pod waits with `FailedMount` and it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// Making a directory or file of the pod failed.
    #[error("making {path:?}: {source}")]
    Make { path: PathBuf, source: io::Error },
    /// Mounting a tmpfs failed.
    #[error("mounting tmpfs on {path:?}: {source}")]
    Mount { path: PathBuf, source: nix::Error },
    /// No such config map or secret.
    #[error("{kind} \"{name}\" not found")]
    NoObject { kind: &'static str, name: String },
    /// It has no such key.
    #[error("{kind} \"{name}\" has no key \"{key}\"")]
    NoKey {
        kind: &'static str,
        name: String,
        key: String,
    },
    /// A downward field that is none.
    #[error("{0}")]
    Field(#[from] fields::UnknownField),
    /// A path that leads out of the volume.
    #[error("path {0:?} leads out of its volume")]
    Escape(String),
    /// The host has not what the type says.
    #[error("hostPath type check failed: {path} is not a {wanted}")]
    HostPathType { path: String, wanted: &'static str },
    /// A kind of volume that this node doesn't know.
    #[error(
        "volume \"{0}\" is of a kind that this node can't mount: it knows emptyDir, hostPath, configMap, secret, downwardAPI, projected and image"
    )]
    Unsupported(String),
    /// The runtime makes only the uppermost mount read-only.
    #[error(
        "volume mount \"{0}\" has recursiveReadOnly: Enabled, which the container runtime doesn't support: IfPossible does without"
    )]
    RecursiveReadOnly(String),
    /// Nobody has asked for the token of a projected volume.
    #[error("there is no token of service account \"{0}\"")]
    NoToken(String),
}

/// Makes every volume of the pod, or brings it up to date.
pub(crate) fn prepare(pod: &Pod, objects: &Objects, node: &Node) -> Result<(), VolumeError> {
    files::directory(&node.pod_dir(&pod.uid), 0o750)?;
    files::directory(&node.log_dir(pod), 0o755)?;
    for volume in pod.spec.volumes.iter().flatten() {
        one(pod, volume, objects, node)?;
    }
    Ok(())
}

fn one(pod: &Pod, volume: &Volume, objects: &Objects, node: &Node) -> Result<(), VolumeError> {
    let group = pod.spec.security_context.as_ref().and_then(|context| context.fs_group);
    let path = path(pod, volume, node);
    if let Some(source) = &volume.empty_dir {
        empty_dir::make(&path, source, group)
    } else if let Some(source) = &volume.host_path {
        host_path::check(source)
    } else if volume.image.is_some() {
        // It comes when a container that mounts it starts.
        Ok(())
    } else if let Some(payload) = payload::of(pod, volume, objects, node)? {
        files::directory(&path, 0o755)?;
        atomic::write(&path, &payload, group)
    } else {
        Err(VolumeError::Unsupported(volume.name.clone()))
    }
}

/// Where the volume's content lies on the host.
pub(crate) fn path(pod: &Pod, volume: &Volume, node: &Node) -> PathBuf {
    match &volume.host_path {
        Some(source) => PathBuf::from(&source.path),
        None => node.pod_dir(&pod.uid).join("volumes").join(&volume.name),
    }
}

/// Unmounts and removes everything of a pod. What isn't there is no failure.
pub(crate) fn remove(pod_dir: &Path) -> Result<(), VolumeError> {
    empty_dir::unmount_below(pod_dir)?;
    match std::fs::remove_dir_all(pod_dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(VolumeError::Make {
            path: pod_dir.to_owned(),
            source,
        }),
    }
}
