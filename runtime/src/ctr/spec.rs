//! config.json of a container without a pod: as for a pod's (`oci/`), then what containerd's own default has differently. Pure.
//!
//! Differences kept from a pod's: no cgroup namespace and no /sys/fs/cgroup, a tmpfs on /run, no new privileges, 1024 open
//! files, and none of a pod's files in /etc. Kept from ours against containerd's client: the default seccomp profile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use minik_api::containers::{CreateRequest, Mount as AskedMount};
use minik_api::cri;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{LinuxNamespaceType, Mount, MountBuilder, PosixRlimitBuilder, PosixRlimitType, Spec};

use crate::oci::{self, HostCapabilities, Rootfs, SpecError, SpecInputs, Users, annotation};

/// Open files that containerd's default allows.
const OPEN_FILES: u64 = 1024;

/// What decides a config.json besides the request.
pub(super) struct Given<'a> {
    pub(super) id: &'a str,
    pub(super) image: &'a ImageConfiguration,
    pub(super) rootfs: &'a Rootfs,
    pub(super) users: Users<'a>,
    /// Where the shim holds the task's namespaces.
    pub(super) directory: &'a Path,
    pub(super) cgroup: &'a Path,
    pub(super) host: &'a HostCapabilities,
}

pub(super) fn spec(request: &CreateRequest, given: &Given<'_>) -> Result<Spec, SpecError> {
    let mut image = given.image.clone();
    if !request.user.is_empty() {
        let mut config = image.config().clone().unwrap_or_default();
        config.set_user(Some(request.user.clone()));
        image.set_config(Some(config));
    }
    let container = container(request);
    let mut spec = oci::spec(&SpecInputs {
        container_id: given.id,
        sandbox_id: given.id,
        container: &container,
        sandbox: &cri::PodSandboxConfig::default(),
        image: &image,
        rootfs: given.rootfs,
        users: given.users,
        sandbox_dir: given.directory,
        cgroup_path: given.cgroup,
        image_volumes: &[],
        log_path: None,
        target_pid: None,
        devices: &[],
        localhost_profile: None,
        host: given.host,
    })?;
    adjust(&mut spec, request);
    Ok(spec)
}

fn container(request: &CreateRequest) -> cri::ContainerConfig {
    let env = request.env.iter().map(|entry| {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        cri::KeyValue {
            key: key.to_owned(),
            value: value.as_bytes().to_vec(),
        }
    });
    let cpu_period = 100_000;
    let resources = cri::LinuxContainerResources {
        memory_limit_in_bytes: i64::try_from(request.memory_limit_bytes).unwrap_or(i64::MAX),
        cpu_period: if request.cpu_millis > 0 { cpu_period } else { 0 },
        cpu_quota: i64::try_from(request.cpu_millis).unwrap_or_default() * cpu_period / 1000,
        ..Default::default()
    };
    let context = cri::LinuxContainerSecurityContext {
        privileged: request.privileged,
        readonly_rootfs: request.read_only,
        no_new_privs: !request.privileged,
        // The CRI's word for the default one.
        seccomp: Some(cri::SecurityProfile::default()),
        namespace_options: Some(cri::NamespaceOption {
            pid: cri::NamespaceMode::Container.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    cri::ContainerConfig {
        // In the place of the image's ENTRYPOINT too.
        command: request.args.clone(),
        working_dir: request.cwd.clone(),
        envs: env.collect(),
        tty: request.terminal,
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(resources),
            security_context: Some(context),
        }),
        ..Default::default()
    }
}

fn adjust(spec: &mut Spec, request: &CreateRequest) {
    let of_pod = |mount: &Mount| {
        let path = mount.destination();
        path.starts_with("/etc") || path == Path::new("/sys/fs/cgroup")
    };
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.retain(|mount| !of_pod(mount));
    mounts.push(mount(
        "tmpfs",
        "tmpfs",
        "/run",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ));
    if request.net_host {
        for file in ["/etc/hosts", "/etc/resolv.conf"] {
            mounts.push(mount("bind", file, file, &["rbind", "ro"]));
        }
    }
    mounts.extend(request.mounts.iter().map(asked));
    spec.set_mounts(Some(mounts));
    if let Some(linux) = spec.linux_mut() {
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.retain(|namespace| match namespace.typ() {
            LinuxNamespaceType::Cgroup => false,
            LinuxNamespaceType::Network => !request.net_host,
            _ => true,
        });
        linux.set_namespaces(Some(namespaces));
    }
    if let Some(process) = spec.process_mut() {
        let files = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .hard(OPEN_FILES)
            .soft(OPEN_FILES)
            .build();
        process.set_rlimits(Some(vec![files.expect("all fields are given")]));
    }
    // The shim's, unless the request has one; a builder's default is neither.
    spec.set_hostname(None);
    let own = |(key, _): &(&String, &String)| key.as_str() == annotation::ROOTFS;
    let annotations = spec.annotations().iter().flatten().filter(own);
    let annotations: HashMap<String, String> = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
    spec.set_annotations(Some(annotations));
}

fn asked(asked: &AskedMount) -> Mount {
    let options: Vec<&str> = asked.options.iter().map(String::as_str).collect();
    let kind = if asked.r#type.is_empty() { "bind" } else { &asked.r#type };
    mount(kind, &asked.source, &asked.destination, &options)
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    let builder = MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(PathBuf::from(source))
        .options(options);
    builder.build().expect("all fields have defaults")
}

/// The config.json of one start: with the container's input open or not.
pub(super) fn of_start(spec: &Spec, with_input: bool) -> Spec {
    let mut spec = spec.clone();
    let mut annotations = spec.annotations().clone().unwrap_or_default();
    for key in [annotation::STDIN, annotation::STDIN_ONCE] {
        annotations.insert(key.to_owned(), with_input.to_string());
    }
    spec.set_annotations(Some(annotations));
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(request: &CreateRequest) -> Spec {
        let rootfs = Rootfs {
            lower: vec![PathBuf::from("/layers/1/fs")],
            upper: PathBuf::from("/layers/2/fs"),
            work: PathBuf::from("/layers/2/work"),
        };
        let image: ImageConfiguration = serde_json::from_value(serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Entrypoint": ["/entry"], "Cmd": ["arg"], "Env": ["A=image"], "User": "7"}}))
        .expect("a config");
        let given = Given {
            id: "5a",
            image: &image,
            rootfs: &rootfs,
            users: Users::default(),
            directory: Path::new("/run/5a"),
            cgroup: Path::new("/minik/default/demo"),
            host: &HostCapabilities::default(),
        };
        spec(request, &given).expect("a spec")
    }

    fn kinds(spec: &Spec) -> Vec<String> {
        let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone());
        let mut kinds: Vec<String> = namespaces
            .iter()
            .flatten()
            .map(|namespace| namespace.typ().to_string())
            .collect();
        kinds.sort();
        kinds
    }

    fn destinations(spec: &Spec) -> Vec<String> {
        let mounts = spec.mounts().iter().flatten();
        mounts.map(|mount| mount.destination().display().to_string()).collect()
    }

    #[test]
    fn the_default_is_containerds() {
        let spec = made(&CreateRequest::default());
        let process = spec.process().clone().expect("a process");
        assert_eq!(process.args(), &Some(vec!["/entry".to_owned(), "arg".to_owned()]));
        assert_eq!(process.user().uid(), 7);
        assert_eq!(process.no_new_privileges(), Some(true));
        assert_eq!(process.cwd(), Path::new("/"));
        assert_eq!(kinds(&spec), ["ipc", "mnt", "net", "pid", "uts"]);
        let mounts = destinations(&spec);
        assert!(mounts.contains(&"/run".to_owned()), "{mounts:?}");
        assert!(!mounts.iter().any(|path| path.starts_with("/etc")), "{mounts:?}");
        assert!(!mounts.contains(&"/sys/fs/cgroup".to_owned()), "{mounts:?}");
        let annotations = spec.annotations().clone().expect("annotations");
        assert_eq!(annotations.keys().collect::<Vec<_>>(), [annotation::ROOTFS]);
    }

    #[test]
    fn what_is_asked_for_wins() {
        let request = CreateRequest {
            args: vec!["sh".to_owned()],
            env: vec!["A=own".to_owned(), "B=".to_owned()],
            net_host: true,
            terminal: true,
            user: "1:2".to_owned(),
            cwd: "/work".to_owned(),
            cpu_millis: 500,
            mounts: vec![AskedMount {
                r#type: String::new(),
                source: "/data".to_owned(),
                destination: "/mnt".to_owned(),
                options: vec!["rbind".to_owned()],
            }],
            ..Default::default()
        };
        let spec = made(&request);
        let process = spec.process().clone().expect("a process");
        assert_eq!(process.args(), &Some(vec!["sh".to_owned()]));
        let env = process.env().clone().expect("an environment");
        assert!(
            env.contains(&"A=own".to_owned()) && env.contains(&"TERM=xterm".to_owned()),
            "{env:?}"
        );
        assert_eq!((process.user().uid(), process.user().gid()), (1, 2));
        assert_eq!(process.cwd(), Path::new("/work"));
        assert_eq!(kinds(&spec), ["ipc", "mnt", "pid", "uts"]);
        let mounts = destinations(&spec);
        for path in ["/mnt", "/etc/hosts", "/etc/resolv.conf"] {
            assert!(mounts.contains(&path.to_owned()), "{mounts:?}");
        }
        let cpu = spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.resources().as_ref()?.cpu().clone());
        assert_eq!(cpu.and_then(|cpu| cpu.quota()), Some(50_000));
    }

    #[test]
    fn input_is_open_only_for_who_sends_some() {
        let spec = made(&CreateRequest::default());
        for with_input in [true, false] {
            let started = of_start(&spec, with_input);
            let annotations = started.annotations().clone().expect("annotations");
            assert_eq!(annotations[annotation::STDIN], with_input.to_string());
        }
    }
}
