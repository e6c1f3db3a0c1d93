//! CreateContainer: from a container config and an image to a bundle with its config.json. Nothing runs yet.
//!
//! ```text
//!   image ─> writable layer ─> users from its /etc/passwd ─> oci::spec ─> record ─> <state>/containers/<id>/config.json
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minik_api::cri::{self, ContainerEventType};
use oci_spec::runtime::{LinuxSeccomp, Spec};
use tonic::{Code, Status};

use super::answer::{Answer, with_code};
use super::remove::{VOLUME, remove_files};
use super::signal::stop_signal;
use super::start;
use crate::daemon::{Daemon, new_id, now_nanos};
use crate::images::Image;
use crate::oci::{self, Rootfs, SpecInputs, Users, devices};
use crate::sandbox::SandboxError;
use crate::state::{ContainerPhase, ContainerRecord, SandboxRecord, UserRecord};
use crate::user_namespace::UserNamespace;

/// Longest /etc/passwd or /etc/group that is read: an image's author decides what is in them.
const USER_FILE_LIMIT: u64 = 1024 * 1024;

pub(super) async fn create(
    daemon: Arc<Daemon>,
    request: cri::CreateContainerRequest,
) -> Answer<cri::CreateContainerResponse> {
    let config = request
        .config
        .ok_or_else(|| Status::invalid_argument("the request has no container config"))?;
    let sandbox = daemon.sandboxes.find(&request.pod_sandbox_id)?.get();
    // Only a sandbox with a shim takes containers.
    start::shim(&daemon, &sandbox.id)?;
    refuse_second(&daemon, &sandbox.id, &config)?;
    let image = find_image(&daemon, &config)?;
    let id = new_id();
    let created = {
        let (daemon, id) = (Arc::clone(&daemon), id.clone());
        // Layers and files are made on a thread where the disk holds up nobody.
        tokio::task::spawn_blocking(move || make(&daemon, &id, &sandbox, config, &image))
    };
    let created = created.await.map_err(|error| Status::internal(error.to_string()))?;
    let record = created.inspect_err(|_| discard(&daemon, &id))?;
    let entry = daemon.containers.insert(record).map_err(|error| {
        discard(&daemon, &id);
        with_code(Code::Unknown)(&error)
    })?;
    daemon.container_event(&entry, ContainerEventType::ContainerCreatedEvent);
    Ok(cri::CreateContainerResponse { container_id: id })
}

/// The kubelet's names are unique in a pod, attempts included: a second of the same name is a lost answer's repetition.
fn refuse_second(daemon: &Daemon, sandbox_id: &str, config: &cri::ContainerConfig) -> Answer<()> {
    let metadata = config
        .metadata
        .as_ref()
        .ok_or_else(|| Status::invalid_argument("the container config has no metadata"))?;
    for entry in daemon.containers_of(sandbox_id) {
        if let Some(id) =
            entry.peek(|record| (record.config.metadata.as_ref() == Some(metadata)).then(|| record.id.clone()))
        {
            let (name, attempt) = (&metadata.name, metadata.attempt);
            let text = format!("sandbox {sandbox_id} has container {name:?}, attempt {attempt}, already: {id}");
            return Err(Status::already_exists(text));
        }
    }
    Ok(())
}

fn find_image(daemon: &Daemon, config: &cri::ContainerConfig) -> Answer<Arc<Image>> {
    let name = config
        .image
        .as_ref()
        .map(|image| image.image.as_str())
        .unwrap_or_default();
    let absent = || Status::not_found(format!("image {name:?} isn't here: pull it first"));
    daemon.images.find(name).ok_or_else(absent)
}

fn discard(daemon: &Daemon, id: &str) {
    if let Err(status) = remove_files(daemon, id) {
        tracing::warn!(
            container = id,
            error = status.message(),
            "undo a container that couldn't be created"
        );
    }
}

/// Makes the writable layer and the bundle.
fn make(
    daemon: &Daemon,
    id: &str,
    sandbox: &SandboxRecord,
    config: cri::ContainerConfig,
    image: &Image,
) -> Answer<ContainerRecord> {
    let unknown = with_code(Code::Unknown);
    let layers = daemon
        .images
        .snapshots()
        .prepare(id, image.chain.as_ref())
        .map_err(|error| unknown(&error))?;
    let read = |name: &str| {
        let text = layers
            .read(Path::new(name), USER_FILE_LIMIT)
            .map_err(|error| Status::unknown(format!("read /{name} of the image: {error}")))?;
        Ok::<_, Status>(
            text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default(),
        )
    };
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    if let Some(users) = sandbox.users().map_err(SandboxError::from)? {
        give_to_pod(&layers.upper, &users)
            .map_err(|error| Status::unknown(format!("give the writable layer to the pod's users: {error}")))?;
    }
    let rootfs = Rootfs {
        lower: layers.lower.clone(),
        upper: layers.upper.clone(),
        work: layers.work.clone(),
    };
    let image_volumes = image_volumes(daemon, id, sandbox, &config)?;
    let cgroup = sandbox.cgroup_parent.join(id);
    let log_path = log_path(&sandbox.config, &config);
    let devices = devices::resolve(&config.devices)
        .map_err(|error| Status::invalid_argument(format!("a device of the container: {error}")))?;
    let mut host = daemon.host.clone();
    if security(&config).is_some_and(|context| context.privileged) {
        host.devices =
            devices::of_host().map_err(|error| Status::unknown(format!("list the host's devices: {error}")))?;
    }
    if !matches!(daemon.handlers.find(&sandbox.runtime_handler), Ok(None)) {
        host.least_oom_score_adj = crate::host::least_oom_score_adj(&host);
    }
    let profile = localhost_profile(&config)?;
    let spec = oci::spec(&SpecInputs {
        container_id: id,
        sandbox_id: &sandbox.id,
        container: &config,
        sandbox: &sandbox.config,
        image: &image.config,
        rootfs: &rootfs,
        users: Users {
            passwd: &passwd,
            group: &group,
        },
        sandbox_dir: &daemon.sandbox_directory(&sandbox.id),
        cgroup_path: &cgroup,
        image_volumes: &image_volumes,
        log_path: log_path.as_deref(),
        target_pid: target_pid(daemon, &sandbox.id, &config),
        devices: &devices,
        localhost_profile: profile.as_ref(),
        host: &host,
    });
    let spec = spec.map_err(|error| with_code(Code::InvalidArgument)(&error))?;
    let bundle = daemon.bundle(id);
    write_bundle(&bundle, &spec)
        .map_err(|error| Status::unknown(format!("write the bundle {}: {error}", bundle.display())))?;
    Ok(record(id, sandbox, config, image, &spec, cgroup, log_path))
}

/// For each mount the layers of the image that it shows. Each image is held by a snapshot of the container's own, as the one
/// that the container runs is: it can't be collected before the container is removed.
fn image_volumes(
    daemon: &Daemon,
    id: &str,
    sandbox: &SandboxRecord,
    config: &cri::ContainerConfig,
) -> Answer<Vec<Vec<PathBuf>>> {
    let layers = |(index, mount): (usize, &cri::Mount)| {
        let Some(asked) = &mount.image else {
            return Ok(Vec::new());
        };
        if !mount.image_sub_path.is_empty() && !daemon.handlers.is_own(&sandbox.runtime_handler) {
            let (path, handler) = (&mount.container_path, &sandbox.runtime_handler);
            let text = format!("volume at {path}: runtime handler {handler:?} can't mount a part of an image");
            return Err(Status::invalid_argument(text));
        }
        let absent = || Status::not_found(format!("image {:?} of a volume isn't here: pull it first", asked.image));
        let image = daemon.images.find(&asked.image).ok_or_else(absent)?;
        let key = format!("{id}{VOLUME}{index}");
        let held = daemon.images.snapshots().prepare(&key, image.chain.as_ref());
        held.map(|held| held.lower)
            .map_err(|error| with_code(Code::Unknown)(&error))
    };
    config.mounts.iter().enumerate().map(layers).collect()
}

/// The writable layer's root has the owner of the image's. It isn't mapped as the layers below are: what is written there has
/// the host's numbers.
fn give_to_pod(upper: &Path, users: &UserNamespace) -> io::Result<()> {
    let metadata = fs::metadata(upper)?;
    let (uid, gid) = (users.uids.on_host(metadata.uid()), users.gids.on_host(metadata.gid()));
    chown(upper, uid.or(Some(users.uids.host)), gid.or(Some(users.gids.host)))
}

fn record(
    id: &str,
    sandbox: &SandboxRecord,
    config: cri::ContainerConfig,
    image: &Image,
    spec: &Spec,
    cgroup: PathBuf,
    log_path: Option<PathBuf>,
) -> ContainerRecord {
    let stop = image
        .config
        .config()
        .as_ref()
        .and_then(|config| config.stop_signal().as_deref());
    ContainerRecord {
        id: id.to_owned(),
        sandbox_id: sandbox.id.clone(),
        created_at_nanos: now_nanos(),
        phase: ContainerPhase::Created,
        image_id: image.id.to_string(),
        image_reference: image.digests.first().cloned().unwrap_or_else(|| image.id.to_string()),
        image_name: image_name(image, config.image.as_ref()),
        log_path,
        stop_signal: stop_signal(config.stop_signal(), stop),
        cgroup,
        user: user(spec),
        config,
    }
}

/// The tag that the user wrote, in full form; else any name of the image, for people to read.
fn image_name(image: &Image, asked: Option<&cri::ImageSpec>) -> String {
    let asked = asked
        .map(|asked| asked.user_specified_image.as_str())
        .unwrap_or_default();
    let tag = image.tags.iter().find(|tag| !asked.is_empty() && tag.ends_with(asked));
    tag.or(image.tags.first())
        .or(image.digests.first())
        .cloned()
        .unwrap_or_else(|| image.id.to_string())
}

fn user(spec: &Spec) -> UserRecord {
    let user = spec
        .process()
        .as_ref()
        .map(|process| process.user().clone())
        .unwrap_or_default();
    let supplemental_groups = user.additional_gids().clone().unwrap_or_default();
    UserRecord {
        uid: user.uid(),
        gid: user.gid(),
        supplemental_groups,
    }
}

/// Both parts are the kubelet's; without either there is no log.
fn log_path(sandbox: &cri::PodSandboxConfig, config: &cri::ContainerConfig) -> Option<PathBuf> {
    let both = !sandbox.log_directory.is_empty() && !config.log_path.is_empty();
    both.then(|| Path::new(&sandbox.log_directory).join(&config.log_path))
}

fn security(config: &cri::ContainerConfig) -> Option<&cri::LinuxContainerSecurityContext> {
    config.linux.as_ref()?.security_context.as_ref()
}

/// The process whose pid namespace a debugging container enters.
fn target_pid(daemon: &Daemon, sandbox_id: &str, config: &cri::ContainerConfig) -> Option<i32> {
    let namespaces = security(config)?.namespace_options.as_ref()?;
    let target = daemon.containers.find(&namespaces.target_id).ok()?;
    target.peek(|record| match record.phase {
        ContainerPhase::Running { pid, .. } if record.sandbox_id == sandbox_id => Some(pid),
        _ => None,
    })
}

/// A seccomp profile of the node's, in the form that container tools share.
fn localhost_profile(config: &cri::ContainerConfig) -> Answer<Option<LinuxSeccomp>> {
    let asked = security(config).and_then(|context| context.seccomp.as_ref());
    let Some(asked) = asked.filter(|profile| profile.profile_type() == cri::security_profile::ProfileType::Localhost)
    else {
        return Ok(None);
    };
    let path = asked.localhost_ref.trim_start_matches("localhost/");
    let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(format!("seccomp profile {path}: {error}"));
    let text = fs::read(path).map_err(|error| invalid(&error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| invalid(&error))
}

fn write_bundle(bundle: &Path, spec: &Spec) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(bundle.join("rootfs"))?;
    let text = serde_json::to_vec_pretty(spec)?;
    fs::write(bundle.join("config.json"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_needs_both_parts_of_its_path() {
        let sandbox = |directory: &str| cri::PodSandboxConfig {
            log_directory: directory.to_owned(),
            ..Default::default()
        };
        let container = |path: &str| cri::ContainerConfig {
            log_path: path.to_owned(),
            ..Default::default()
        };
        let expected = Some(PathBuf::from("/var/log/pods/p/web/0.log"));
        assert_eq!(log_path(&sandbox("/var/log/pods/p"), &container("web/0.log")), expected);
        assert_eq!(log_path(&sandbox(""), &container("web/0.log")), None);
        assert_eq!(log_path(&sandbox("/var/log/pods/p"), &container("")), None);
    }

    #[test]
    fn only_localhost_profiles_are_read() {
        let with = |profile_type: cri::security_profile::ProfileType, localhost_ref: &str| {
            let profile = cri::SecurityProfile {
                profile_type: profile_type.into(),
                localhost_ref: localhost_ref.to_owned(),
            };
            let context = cri::LinuxContainerSecurityContext {
                seccomp: Some(profile),
                ..Default::default()
            };
            let linux = cri::LinuxContainerConfig {
                security_context: Some(context),
                ..Default::default()
            };
            cri::ContainerConfig {
                linux: Some(linux),
                ..Default::default()
            }
        };
        use cri::security_profile::ProfileType::{Localhost, RuntimeDefault};
        assert!(matches!(localhost_profile(&with(RuntimeDefault, "/nowhere")), Ok(None)));
        let error = localhost_profile(&with(Localhost, "/nowhere.json")).expect_err("there is no such file");
        assert!(error.message().contains("/nowhere.json"), "{error}");
    }
}
