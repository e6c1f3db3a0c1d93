//! Containers without a pod come and go: a record and a writable layer. Nothing runs yet, nothing may run any more.

use std::path::Path;
use std::sync::Arc;

use minik_api::containers::{Container, CreateRequest};
use oci_spec::image::ImageConfiguration;
use serde_json::json;
use tonic::{Code, Status};

use super::lookup;
use super::record::CtrRecord;
use super::spec::{self, Given};
use super::{is_cri, task};
use crate::cri::{Answer, signal_number, with_code};
use crate::daemon::{Daemon, new_id, now_nanos};
use crate::images::digest::ChainId;
use crate::images::namespaces;
use crate::oci::{Rootfs, Users};

/// Longest /etc/passwd or /etc/group that is read: an image's author decides what is in them.
const USER_FILE_LIMIT: u64 = 1024 * 1024;

pub(super) async fn create(daemon: &Arc<Daemon>, request: CreateRequest) -> Answer<Container> {
    let namespace = lookup::namespace(&request.namespace)?.to_owned();
    refuse_pods(&namespace)?;
    if !namespaces::is_identifier(&request.id) {
        return Err(Status::invalid_argument(format!(
            "container id {:?} is invalid: at most 76 letters and digits, with single dots, dashes or underscores between them",
            request.id
        )));
    }
    let images = daemon.images.in_namespace(&namespace);
    let images = images.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let image = images
        .find(&request.image)
        .ok_or_else(|| Status::not_found(format!("image {:?}: not found", request.image)))?;
    let _turn = daemon.ctr.creating.lock().await;
    if lookup::find(daemon, &namespace, &request.id).is_some() {
        return Err(Status::already_exists(format!(
            "snapshot {:?}: already exists",
            request.id
        )));
    }
    let made = {
        let daemon = Arc::clone(daemon);
        tokio::task::spawn_blocking(move || make(&daemon, &namespace, request, image.chain.as_ref(), &image.config))
    };
    let record = made.await.map_err(|error| Status::internal(error.to_string()))??;
    let key = record.snapshot_key();
    let entry = daemon.ctr.records.insert(record).map_err(|error| {
        remove_layer(daemon, &key);
        with_code(Code::Unknown)(&error)
    })?;
    let record = entry.get();
    let body = json!({"id": record.name, "image": record.image});
    daemon.ctr.events.tell(&record.namespace, "/containers/create", body);
    Ok(lookup::describe(&record))
}

/// What is the kubelet's to make and to remove.
pub(super) fn refuse_pods(namespace: &str) -> Answer<()> {
    if is_cri(namespace) {
        return Err(Status::failed_precondition(
            "containers in namespace \"k8s.io\" belong to pods: make and delete those with kubectl or minikctl",
        ));
    }
    Ok(())
}

/// The record of a container upon a stack of layers, its writable layer made. Blocks.
pub(super) fn make(
    daemon: &Daemon,
    namespace: &str,
    request: CreateRequest,
    chain: Option<&ChainId>,
    image: &ImageConfiguration,
) -> Answer<CtrRecord> {
    let key = format!("{namespace}/{}", request.id);
    let layers = daemon.images.snapshots().prepare(&key, chain);
    let layers = layers.map_err(|error| with_code(Code::Unknown)(&error))?;
    let record = fill(daemon, namespace, request, image, &layers);
    record.inspect_err(|_| remove_layer(daemon, &key))
}

fn fill(
    daemon: &Daemon,
    namespace: &str,
    request: CreateRequest,
    image: &ImageConfiguration,
    layers: &crate::snapshots::Rootfs,
) -> Answer<CtrRecord> {
    let read = |name: &str| {
        let text = layers
            .read(Path::new(name), USER_FILE_LIMIT)
            .map_err(|error| Status::unknown(format!("read /{name} of the image: {error}")))?;
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok::<_, Status>(text.unwrap_or_default())
    };
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    let rootfs = Rootfs {
        lower: layers.lower.clone(),
        upper: layers.upper.clone(),
        work: layers.work.clone(),
    };
    let mut host = daemon.host.clone();
    if request.privileged {
        let devices = crate::oci::devices::of_host();
        host.devices = devices.map_err(|error| Status::unknown(format!("list the host's devices: {error}")))?;
    }
    let id = new_id();
    let cgroup = daemon.config.cgroup_parent.join(namespace).join(&request.id);
    let spec = spec::spec(
        &request,
        &Given {
            id: &id,
            image,
            rootfs: &rootfs,
            users: Users {
                passwd: &passwd,
                group: &group,
            },
            directory: &daemon.sandbox_directory(&id),
            cgroup: &cgroup,
            host: &host,
        },
    );
    let spec = spec.map_err(|error| with_code(Code::InvalidArgument)(&error))?;
    let stop = image
        .config()
        .as_ref()
        .and_then(|config| config.stop_signal().as_deref());
    let now = now_nanos();
    Ok(CtrRecord {
        id,
        namespace: namespace.to_owned(),
        name: request.id,
        image: request.image,
        labels: request.labels.into_iter().collect(),
        created_at_nanos: now,
        updated_at_nanos: now,
        net_host: request.net_host,
        hostname: request.hostname,
        stop_signal: stop.and_then(signal_number).unwrap_or(libc::SIGTERM),
        cgroup,
        spec,
        task: None,
    })
}

/// Removes a container; its task goes first if it has ended, or by force.
pub(super) async fn delete(daemon: &Arc<Daemon>, namespace: &str, name: &str, force: bool) -> Answer<i32> {
    refuse_pods(namespace)?;
    let entry = lookup::own(daemon, namespace, name)?;
    if !force && entry.peek(CtrRecord::is_running) {
        return Err(Status::failed_precondition(format!(
            "cannot delete a non stopped container: {name:?} runs; stop it with `task kill` first"
        )));
    }
    let code = task::delete(daemon, &entry, force).await?;
    let _turn = entry.operate().await;
    let record = entry.get();
    remove_layer(daemon, &record.snapshot_key());
    let removed = daemon.ctr.records.remove(&record.id);
    removed.map_err(|error| with_code(Code::Unknown)(&error))?;
    daemon
        .ctr
        .events
        .tell(namespace, "/containers/delete", json!({"id": name}));
    Ok(code)
}

pub(super) fn remove_layer(daemon: &Daemon, key: &str) {
    if let Err(error) = daemon.images.snapshots().remove(key) {
        tracing::warn!(snapshot = key, %error, "remove a container's writable layer");
    }
}
