//! What there is below a namespace's images: blobs, snapshots, and layers that a client mounts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::time::UNIX_EPOCH;

use futures::stream::{self, StreamExt};
use minik_api::images::{Blob, Chunk, MountAnswer, MountRequest, Snapshot};
use tokio::io::AsyncReadExt;
use tonic::Status;

use super::Chunks;
use crate::images::digest::{ChainId, Digest};
use crate::images::error::chain;
use crate::images::namespaces::CRI;
use crate::images::{Image, Images};
use crate::snapshots::{Listed, SnapshotError};

const CHUNK_BYTES: usize = 256 << 10;
/// What the writable layer of a client's mount is called: after what kind it is, its namespace and where it is mounted.
const VIEW: &str = "view";
const ACTIVE: &str = "mount";

/// Runs what waits for the disk where that holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(format!("the runtime failed on this request: {error}")))
}

/// The blobs of a namespace's images, by digest.
pub(super) fn blobs(images: &Images) -> io::Result<Vec<Blob>> {
    let list = images.list();
    let mut labels: BTreeMap<Digest, HashMap<String, String>> = BTreeMap::new();
    for image in &list {
        for digest in &image.content {
            labels.entry(digest.clone()).or_default();
        }
        label(images, image, &mut labels)?;
    }
    let mut blobs = Vec::with_capacity(labels.len());
    for (digest, labels) in labels {
        let path = images.inner.destination.content.path(&digest);
        // One that is gone is told by `image check`.
        let Ok(metadata) = std::fs::metadata(path) else {
            continue;
        };
        let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        blobs.push(Blob {
            digest: digest.to_string(),
            size_bytes: metadata.len(),
            created_at: i64::try_from(age.as_nanos()).unwrap_or(i64::MAX),
            labels,
        });
    }
    Ok(blobs)
}

/// containerd's labels for what a blob keeps: a manifest its config and layers, a config its topmost layer's snapshot.
fn label(images: &Images, image: &Image, labels: &mut BTreeMap<Digest, HashMap<String, String>>) -> io::Result<()> {
    if let Some(chain) = &image.chain {
        let config = labels.entry(image.id.clone()).or_default();
        config.insert("containerd.io/gc.ref.snapshot.overlayfs".to_owned(), chain.to_string());
    }
    for name in image.tags.iter().chain(&image.digests) {
        let Some(documents) = images.documents(image, name)? else {
            continue;
        };
        for pair in documents.all.windows(2) {
            let own = labels.entry(pair[0].0.clone()).or_default();
            own.insert("containerd.io/gc.ref.content.m.0".to_owned(), pair[1].0.to_string());
        }
        let manifest = documents.all.last().map(|(digest, ..)| digest.clone());
        let Some(own) = manifest.map(|digest| labels.entry(digest).or_default()) else {
            continue;
        };
        let (config, layers) = documents.parts.split_first().expect("every manifest has a config");
        own.insert("containerd.io/gc.ref.content.config".to_owned(), config.0.to_string());
        for (number, (digest, ..)) in layers.iter().enumerate() {
            own.insert(format!("containerd.io/gc.ref.content.l.{number}"), digest.to_string());
        }
    }
    Ok(())
}

/// A blob in pieces.
pub(super) async fn read(images: &Images, digest: &str) -> Result<Chunks, Status> {
    let parsed: Digest = digest
        .parse()
        .map_err(|_| Status::invalid_argument(format!("{digest:?} is no digest: sha256: and 64 digits")))?;
    let file = tokio::fs::File::open(images.inner.destination.content.path(&parsed)).await;
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Status::not_found(format!("content digest {parsed}: not found")),
        _ => Status::internal(format!("read blob {parsed}: {error}")),
    })?;
    let pieces = stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut data = vec![0; CHUNK_BYTES];
        match file.read(&mut data).await {
            Ok(0) => None,
            Ok(length) => {
                data.truncate(length);
                Some((Ok(Chunk { data }), Some(file)))
            }
            Err(error) => Some((Err(Status::internal(format!("read a blob: {error}"))), None)),
        }
    });
    Ok(pieces.boxed())
}

/// Layers that the namespace's images and containers stand on, and the containers' own.
pub(super) fn snapshots(images: &Images) -> Vec<Snapshot> {
    let all = images.snapshots().list();
    let own: Vec<(&Listed, Shown)> = all
        .iter()
        .filter(|listed| listed.layer.is_none())
        .filter_map(|listed| Some((listed, shown(&listed.key, &images.namespace)?)))
        .collect();
    let tops = images.list().into_iter().filter_map(|image| image.chain.clone());
    let tops = tops.chain(own.iter().filter_map(|(listed, _)| listed.parent.clone()));
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for top in tops {
        let mut next = Some(top.to_string());
        while let Some(key) = next.filter(|key| kept.insert(key.clone())) {
            let layer = all.iter().find(|listed| listed.key == key);
            next = layer.and_then(|layer| layer.parent.as_ref().map(ChainId::to_string));
        }
    }
    let parent = |listed: &Listed| listed.parent.as_ref().map(ChainId::to_string).unwrap_or_default();
    let layers = all
        .iter()
        .filter(|listed| kept.contains(&listed.key))
        .map(|listed| Snapshot {
            key: listed.key.clone(),
            parent: parent(listed),
            kind: "Committed".to_owned(),
            size_bytes: listed.layer.map(|usage| usage.bytes).unwrap_or_default(),
        });
    let writable = own.iter().map(|(listed, shown)| Snapshot {
        key: shown.key.clone(),
        parent: parent(listed),
        kind: shown.kind.to_owned(),
        size_bytes: images.snapshots().usage(&listed.key).unwrap_or_default().bytes,
    });
    let mut listed: Vec<Snapshot> = layers.chain(writable).collect();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    listed
}

/// A writable layer as a list names it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    key: String,
    kind: &'static str,
}

/// Whether a writable layer is of a namespace: a client's mount, a container of containerd's client, or one of a pod.
fn shown(key: &str, namespace: &str) -> Option<Shown> {
    let own = |key: &str, kind| {
        Some(Shown {
            key: key.to_owned(),
            kind,
        })
    };
    for (prefix, kind) in [(VIEW, "View"), (ACTIVE, "Active")] {
        if let Some(rest) = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(' ')) {
            let (of, target) = rest.split_once(' ')?;
            return (of == namespace).then(|| own(target, kind)).flatten();
        }
    }
    match key.split_once('/') {
        Some((of, name)) => (of == namespace).then(|| own(name, "Active")).flatten(),
        None => (namespace == CRI).then(|| own(key, "Active")).flatten(),
    }
}

/// Keeps an image's layers for a mount.
pub(super) fn mount(images: &Images, request: &MountRequest) -> Result<MountAnswer, Status> {
    let image = images
        .find(&request.image)
        .ok_or_else(|| Status::not_found(format!("image {:?}: not found", request.image)))?;
    let kind = if request.writable { ACTIVE } else { VIEW };
    if mounted(images, &request.target).is_some() {
        return Err(Status::already_exists(format!(
            "snapshot {:?}: already exists",
            request.target
        )));
    }
    let key = format!("{kind} {} {}", images.namespace, request.target);
    let rootfs = images.snapshots().prepare(&key, image.chain.as_ref());
    let rootfs = rootfs.map_err(|error| failed(&error))?;
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let writable = |own: &std::path::Path| if request.writable { path(own) } else { String::new() };
    Ok(MountAnswer {
        lower: rootfs.lower.iter().map(|lower| path(lower)).collect(),
        upper: writable(&rootfs.upper),
        work: writable(&rootfs.work),
        chain: image.chain.as_ref().map(ChainId::to_string).unwrap_or_default(),
    })
}

pub(super) fn unmount(images: &Images, target: &str) -> Result<(), Status> {
    let key = mounted(images, target).ok_or_else(|| Status::not_found(format!("snapshot {target:?}: not found")))?;
    images.snapshots().remove(&key).map_err(|error| failed(&error))
}

/// The key of a client's mount, whichever namespace it was made in: a directory is one only once.
fn mounted(images: &Images, target: &str) -> Option<String> {
    let all = images.snapshots().keys();
    all.into_iter().find(|key| {
        let mut parts = key.splitn(3, ' ');
        matches!(parts.next(), Some(VIEW | ACTIVE)) && parts.nth(1) == Some(target)
    })
}

fn failed(error: &SnapshotError) -> Status {
    Status::internal(chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_layers_belong_to_a_namespace() {
        let of = |key: &str, namespace: &str| shown(key, namespace).map(|shown| (shown.key, shown.kind));
        let own = |key: &str, kind| Some((key.to_owned(), kind));
        assert_eq!(of("default/demo", "default"), own("demo", "Active"));
        assert_eq!(of("default/demo", "k8s.io"), None);
        assert_eq!(of("0123abc", "k8s.io"), own("0123abc", "Active"));
        assert_eq!(of("0123abc", "default"), None);
        assert_eq!(of("view default /mnt/a b", "default"), own("/mnt/a b", "View"));
        assert_eq!(of("mount default /mnt", "default"), own("/mnt", "Active"));
        assert_eq!(of("mount default /mnt", "other"), None);
    }
}
