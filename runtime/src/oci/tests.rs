//! Tables: what is asked for, and what config.json then says.

use oci_spec::runtime::Mount;

use super::*;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:Web:/srv:/bin/sh\nbroken line\n1000:x:7:8::/seven:/bin/sh\n";
const GROUP: &str = "root:x:0:\nwww:x:102:\nlogs:x:44:root,web\nextra:x:45:web\n";
const USERS: Users<'static> = Users {
    passwd: PASSWD,
    group: GROUP,
};

/// Owned inputs, to be changed by a test.
struct Case {
    container: cri::ContainerConfig,
    sandbox: cri::PodSandboxConfig,
    image: ImageConfiguration,
    host: HostCapabilities,
    target_pid: Option<i32>,
    image_volumes: Vec<Vec<std::path::PathBuf>>,
}

impl Case {
    fn new() -> Self {
        let image = serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Entrypoint": ["/entry"], "Cmd": ["serve"], "Env": ["PATH=/image/bin", "A=image"],
                       "WorkingDir": "/work", "User": "web"}
        });
        let mut case = Self {
            container: cri::ContainerConfig::default(),
            sandbox: cri::PodSandboxConfig::default(),
            image: serde_json::from_value(image).expect("an image config"),
            host: HostCapabilities {
                seccomp: true,
                capabilities: 0x1ff_ffff_ffff,
                device_control: true,
                selinux: false,
                no_user_namespaces: None,
                devices: Vec::new(),
                least_oom_score_adj: None,
            },
            target_pid: None,
            image_volumes: Vec::new(),
        };
        case.sandbox.hostname = "pod".to_owned();
        case.container.linux = Some(cri::LinuxContainerConfig::default());
        case
    }

    fn context(&mut self) -> &mut cri::LinuxContainerSecurityContext {
        self.container
            .linux
            .get_or_insert_default()
            .security_context
            .get_or_insert_default()
    }

    fn spec(&self) -> Result<Spec, SpecError> {
        let rootfs = Rootfs {
            lower: vec!["/data/1/fs".into()],
            upper: "/data/2/fs".into(),
            work: "/data/2/work".into(),
        };
        spec(&SpecInputs {
            container_id: "c",
            sandbox_id: "s",
            container: &self.container,
            sandbox: &self.sandbox,
            image: &self.image,
            rootfs: &rootfs,
            users: USERS,
            sandbox_dir: Path::new("/run/s"),
            cgroup_path: Path::new("/kubepods/podu/c"),
            image_volumes: &self.image_volumes,
            log_path: Some(Path::new("/logs/0.log")),
            target_pid: self.target_pid,
            devices: &[],
            localhost_profile: None,
            host: &self.host,
        })
    }

    fn process(&self) -> oci_spec::runtime::Process {
        self.spec().expect("a spec").process().clone().expect("a process")
    }

    fn mounts(&self) -> Vec<Mount> {
        self.spec().expect("a spec").mounts().clone().expect("mounts")
    }

    fn capabilities(&self) -> Vec<String> {
        let sets = self.process().capabilities().clone().expect("capabilities");
        let mut names: Vec<String> = sets.bounding().iter().flatten().map(ToString::to_string).collect();
        names.sort();
        names
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn command_and_args_replace_entrypoint_and_cmd() {
    // command, args, what runs (Kubernetes' own table)
    let table = [
        ("", "", "/entry serve"),
        ("", "x y", "/entry x y"),
        ("a b", "", "a b"),
        ("a b", "x", "a b x"),
    ];
    for (command, args, expected) in table {
        let mut case = Case::new();
        (case.container.command, case.container.args) = (words(command), words(args));
        assert_eq!(
            case.process().args().clone(),
            Some(words(expected)),
            "{command:?} {args:?}"
        );
    }
    let mut case = Case::new();
    case.image.set_config(None);
    assert_eq!(case.spec().expect_err("refused"), SpecError::NoCommand);
}

#[test]
fn environment_of_the_pod_wins_over_the_images() {
    let mut case = Case::new();
    let pair = |key: &str, value: &str| cri::KeyValue {
        key: key.to_owned(),
        value: value.into(),
    };
    case.container.envs = vec![pair("A", "pod"), pair("B", "x=y"), pair("HOME", "/elsewhere")];
    let expected = words("PATH=/image/bin HOSTNAME=pod HOME=/elsewhere A=pod B=x=y");
    assert_eq!(case.process().env().clone(), Some(expected));
    case.container.envs.clear();
    case.container.tty = true;
    let expected = words("PATH=/image/bin HOSTNAME=pod HOME=/srv TERM=xterm A=image");
    assert_eq!(case.process().env().clone(), Some(expected));
    assert_eq!(case.process().cwd(), Path::new("/work"));
}

#[test]
fn users_are_found_in_the_images_files() {
    // USER of the image, runAsUser, runAsGroup, supplemental groups: uid, groups with the primary one first
    type Row = (
        &'static str,
        Option<i64>,
        Option<i64>,
        &'static [i64],
        u32,
        &'static [u32],
    );
    let table: [Row; 10] = [
        ("", None, None, &[], 0, &[0, 44]),
        ("web", None, None, &[], 101, &[102, 44, 45]),
        ("101", None, None, &[9], 101, &[102, 44, 45, 9]),
        ("web:logs", None, None, &[], 101, &[44, 45]),
        ("5:6", None, None, &[], 5, &[6]),
        (":www", None, None, &[], 0, &[102, 44]),
        ("1000", None, None, &[], 7, &[8]),
        ("web", Some(4242), None, &[3, 3], 4242, &[0, 3]),
        ("web", Some(101), Some(12), &[], 101, &[12, 44, 45]),
        ("web", None, Some(12), &[], 101, &[12, 44, 45]),
    ];
    for (image, user, group, supplemental, uid, groups) in table {
        let context = cri::LinuxContainerSecurityContext {
            run_as_user: user.map(|value| cri::Int64Value { value }),
            run_as_group: group.map(|value| cri::Int64Value { value }),
            supplemental_groups: supplemental.to_vec(),
            ..Default::default()
        };
        let found = users::of_container(&context, image, &USERS).expect("resolved");
        assert_eq!(
            (found.uid, found.groups.as_slice()),
            (uid, groups),
            "{image:?} {user:?} {group:?}"
        );
        assert_eq!(found.gid, groups[0]);
    }
    assert!(matches!(
        resolve_user("nobody", &USERS),
        Err(SpecError::UnknownUser { kind: "user", .. })
    ));
    assert!(matches!(
        resolve_user("web:nope", &USERS),
        Err(SpecError::UnknownUser { kind: "group", .. })
    ));
}

#[test]
fn groups_of_the_image_can_be_left_out() {
    let mut case = Case::new();
    case.context().supplemental_groups_policy = cri::SupplementalGroupsPolicy::Strict.into();
    case.context().supplemental_groups = vec![5];
    assert_eq!(case.process().user().additional_gids().clone(), Some(vec![102, 5]));
    case.context().run_as_user = Some(cri::Int64Value { value: -1 });
    assert!(matches!(
        case.spec(),
        Err(SpecError::OutOfRange {
            field: "runAsUser",
            value: -1
        })
    ));
}

#[test]
fn capabilities_are_added_and_dropped() {
    let table = [
        ("", "ALL", ""),
        ("NET_ADMIN", "ALL", "NET_ADMIN"),
        ("CAP_SYS_TIME,kill", "all", "KILL SYS_TIME"),
    ];
    for (add, drop, expected) in table {
        let split = |text: &str| {
            text.split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let mut case = Case::new();
        case.context().capabilities = Some(cri::Capability {
            add_capabilities: split(add),
            drop_capabilities: split(drop),
            add_ambient_capabilities: Vec::new(),
        });
        assert_eq!(case.capabilities(), words(expected), "add {add} drop {drop}");
    }
    let mut case = Case::new();
    assert_eq!(case.capabilities().len(), 14);
    case.host.device_control = false;
    assert!(!case.capabilities().contains(&"MKNOD".to_owned()));
    case.context().privileged = true;
    assert_eq!(case.capabilities().len(), 41);
    case.context().privileged = false;
    case.context().capabilities = Some(cri::Capability {
        add_capabilities: vec!["NET_ROOT".to_owned()],
        ..Default::default()
    });
    assert_eq!(
        case.spec().expect_err("refused"),
        SpecError::UnknownCapability("NET_ROOT".to_owned())
    );
}

#[test]
fn mounts_are_ordered_and_replace_defaults() {
    let mut case = Case::new();
    let mount = |container_path: &str, readonly: bool, propagation: i32| cri::Mount {
        container_path: container_path.to_owned(),
        host_path: "/host".to_owned(),
        readonly,
        propagation,
        ..Default::default()
    };
    case.container.mounts = vec![
        mount("/data/deep", true, 0),
        mount("/data", false, 2),
        mount("/etc/hosts", false, 0),
        mount("dev/shm/", false, 1),
    ];
    let mounts = case.mounts();
    let paths: Vec<&str> = mounts.iter().filter_map(|mount| mount.destination().to_str()).collect();
    let expected = "/proc /dev /dev/pts /dev/mqueue /sys /sys/fs/cgroup /etc/hostname /etc/resolv.conf \
                    /data /data/deep /etc/hosts /dev/shm";
    assert_eq!(paths, words(expected));
    let options = |path: &str| {
        let mount = mounts
            .iter()
            .find(|mount| mount.destination() == Path::new(path))
            .expect("mounted");
        mount.options().clone().unwrap_or_default().join(",")
    };
    assert_eq!(options("/data"), "rbind,rshared,rw");
    assert_eq!(options("/data/deep"), "rbind,rprivate,ro");
    assert_eq!(options("/dev/shm"), "rbind,rslave,rw");
    assert!(options("/sys").ends_with("ro"));
    for bad in ["/a/../../etc", "/", ""] {
        case.container.mounts = vec![mount(bad, false, 0)];
        assert!(matches!(case.spec(), Err(SpecError::Mount { .. })), "{bad:?}");
    }
}

/// What a container enters when it asks for `pid`, in a pod with this pid mode and network.
fn entered(
    pid: cri::NamespaceMode,
    (pods_pid, network): (cri::NamespaceMode, cri::NamespaceMode),
    target_pid: Option<i32>,
) -> Result<String, SpecError> {
    let mut case = Case::new();
    let options = |pid: cri::NamespaceMode| cri::NamespaceOption {
        pid: pid.into(),
        network: network.into(),
        ..Default::default()
    };
    // What a container says about the pod's own namespaces doesn't count.
    case.context().namespace_options = Some(cri::NamespaceOption {
        network: cri::NamespaceMode::Pod.into(),
        ..options(pid)
    });
    let context = case
        .sandbox
        .linux
        .get_or_insert_default()
        .security_context
        .get_or_insert_default();
    context.namespace_options = Some(options(pods_pid));
    case.target_pid = target_pid;
    let text = |namespace: &LinuxNamespace| match namespace.path() {
        Some(path) => format!("{}={}", namespace.typ(), path.display()),
        None => namespace.typ().to_string(),
    };
    let linux = case.spec()?.linux().clone().expect("linux");
    let all: Vec<String> = linux.namespaces().iter().flatten().map(text).collect();
    Ok(all.join(" ").to_lowercase())
}

#[test]
fn namespaces_are_the_pods_the_hosts_or_its_own() {
    use cri::NamespaceMode::{Container, Node, Pod, Target};
    let of_pod = "ipc=/run/s/ns/ipc net=/run/s/ns/net uts=/run/s/ns/uts";
    for (own, pods, target, expected) in [
        (Container, (Container, Pod), None, format!("mnt cgroup pid {of_pod}")),
        (Container, (Pod, Pod), None, format!("mnt cgroup pid {of_pod}")),
        (Pod, (Pod, Pod), None, format!("mnt cgroup pid=/run/s/ns/pid {of_pod}")),
        (Node, (Pod, Pod), None, format!("mnt cgroup pid=/run/s/ns/pid {of_pod}")),
        (
            Target,
            (Container, Pod),
            Some(77),
            format!("mnt cgroup pid=/proc/77/ns/pid {of_pod}"),
        ),
        (Pod, (Node, Node), None, "mnt cgroup ipc=/run/s/ns/ipc".to_owned()),
        (Node, (Node, Node), None, "mnt cgroup ipc=/run/s/ns/ipc".to_owned()),
    ] {
        assert_eq!(entered(own, pods, target), Ok(expected), "{own:?} in {pods:?}");
    }
    assert!(matches!(
        entered(Target, (Container, Pod), None),
        Err(SpecError::Target(_))
    ));
    assert_eq!(entered(Pod, (Container, Pod), None), Err(SpecError::NoSharedPids));
}

#[test]
fn privileged_containers_are_not_confined() {
    let mut case = Case::new();
    let linux = case.spec().expect("a spec").linux().clone().expect("linux");
    assert!(linux.seccomp().is_none(), "nothing said is unconfined");
    case.context().seccomp = Some(cri::SecurityProfile::default());
    let linux = case.spec().expect("a spec").linux().clone().expect("linux");
    assert!(linux.seccomp().is_some() && linux.masked_paths().is_some());
    case.context().privileged = true;
    let linux = case.spec().expect("a spec").linux().clone().expect("linux");
    assert!(linux.seccomp().is_none() && linux.masked_paths().is_none() && linux.readonly_paths().is_none());
}

#[test]
fn limits_of_zero_are_no_limits() {
    let asked = cri::LinuxContainerResources {
        cpu_shares: 512,
        memory_limit_in_bytes: 1 << 20,
        oom_score_adj: -997,
        ..Default::default()
    };
    let json = serde_json::to_value(linux_resources(&asked)).expect("serializable");
    assert_eq!(
        json,
        serde_json::json!({"cpu": {"shares": 512}, "memory": {"limit": 1 << 20}})
    );
    let mut case = Case::new();
    case.container.linux.get_or_insert_default().resources = Some(asked);
    assert_eq!(case.process().oom_score_adj(), Some(-997));
    case.host.least_oom_score_adj = Some(0);
    assert_eq!(
        case.process().oom_score_adj(),
        Some(0),
        "where an OCI runtime would fail"
    );
}

#[test]
fn an_exec_has_the_containers_rights() {
    let case = Case::new();
    let process = exec_process(&case.spec().expect("a spec"), words("ls -l"), true);
    assert_eq!(process.args().clone(), Some(words("ls -l")));
    assert_eq!(process.terminal(), Some(true));
    assert_eq!(
        (process.user(), process.capabilities()),
        (case.process().user(), case.process().capabilities())
    );
    assert!(process.env().iter().flatten().any(|entry| entry == "TERM=xterm"));
}

#[test]
fn the_bundle_is_complete() {
    let mut case = Case::new();
    case.container.stdin = true;
    case.container
        .annotations
        .insert(annotation::LOG_PATH.to_owned(), "/etc/shadow".to_owned());
    let annotations = case.spec().expect("a spec").annotations().clone().expect("annotations");
    assert_eq!(
        annotations[annotation::LOG_PATH],
        "/logs/0.log",
        "a pod can't redirect its log"
    );
    assert_eq!(annotations[annotation::STDIN], "true");
    assert!(annotations[annotation::ROOTFS].contains("/data/1/fs"));
    assert!(!annotations.contains_key(annotation::STDIN_ONCE));
}

#[test]
fn labels_that_would_not_confine_are_refused() {
    let profile = |profile_type: cri::security_profile::ProfileType| cri::SecurityProfile {
        profile_type: profile_type.into(),
        localhost_ref: "strict".to_owned(),
    };
    let mut case = Case::new();
    use cri::security_profile::ProfileType::{Localhost, RuntimeDefault, Unconfined};
    for (kind, expected) in [
        (Unconfined, None),
        (RuntimeDefault, Some("runtime/default")),
        (Localhost, Some("strict")),
    ] {
        case.context().apparmor = Some(profile(kind));
        let refused = case.spec().err();
        assert_eq!(refused, expected.map(|name| SpecError::AppArmor(name.to_owned())));
    }
    case.context().privileged = true;
    assert!(case.spec().is_ok(), "a privileged container is not confined");
    case.context().selinux_options = Some(cri::SeLinuxOption {
        level: "s0:c1".to_owned(),
        ..Default::default()
    });
    assert!(case.spec().is_ok(), "labels mean nothing without SELinux");
    case.host.selinux = true;
    assert_eq!(case.spec().err(), Some(SpecError::SeLinux(":::s0:c1".to_owned())));
}

#[test]
fn a_pod_with_users_of_its_own_has_them_everywhere() {
    let mut case = Case::new();
    let mapping = cri::IdMapping {
        container_id: 0,
        host_id: 65_536,
        length: 65_536,
    };
    let users = cri::UserNamespace {
        mode: cri::NamespaceMode::Pod.into(),
        uids: vec![mapping],
        gids: vec![mapping],
    };
    let context = case
        .sandbox
        .linux
        .get_or_insert_default()
        .security_context
        .get_or_insert_default();
    context.namespace_options = Some(cri::NamespaceOption {
        userns_options: Some(users),
        ..Default::default()
    });
    case.container.mounts = vec![
        cri::Mount {
            container_path: "/data".to_owned(),
            host_path: "/host".to_owned(),
            uid_mappings: vec![mapping],
            gid_mappings: vec![mapping],
            ..Default::default()
        },
        cri::Mount {
            container_path: "/one".to_owned(),
            image: Some(cri::ImageSpec::default()),
            ..Default::default()
        },
    ];
    case.image_volumes = vec![vec![], vec!["/layers/7".into()]];
    let linux = case.spec().expect("a spec").linux().clone().expect("linux");
    let users = linux
        .namespaces()
        .iter()
        .flatten()
        .find(|namespace| namespace.typ() == LinuxNamespaceType::User);
    assert_eq!(
        users.and_then(|users| users.path().clone()),
        Some("/run/s/ns/user".into())
    );
    assert_eq!(linux.uid_mappings().as_ref().map(|all| all[0].host_id()), Some(65_536));
    let mounts = case.mounts();
    for at in ["/data", "/one"] {
        let mount = mounts
            .iter()
            .find(|mount| mount.destination() == Path::new(at))
            .expect("a mount");
        assert_eq!(
            mount.gid_mappings().as_ref().map(|all| all[0].host_id()),
            Some(65_536),
            "{at}"
        );
    }
}

#[test]
fn images_are_mounted_where_volumes_are_asked_for() {
    let mut case = Case::new();
    let volume = |at: &str, part: &str| cri::Mount {
        container_path: at.to_owned(),
        image: Some(cri::ImageSpec::default()),
        image_sub_path: part.to_owned(),
        mount_options: vec!["noexec".to_owned()],
        ..Default::default()
    };
    case.container.mounts = vec![volume("/one", ""), volume("/two", "etc/app")];
    case.image_volumes = vec![vec!["/layers/7".into()], vec!["/layers/8".into(), "/layers/7".into()]];
    let mounts = case.mounts();
    let options = |at: &str| {
        let mount = mounts
            .iter()
            .find(|mount| mount.destination() == Path::new(at))
            .expect("a mount");
        (
            mount.typ().clone(),
            mount.options().clone().unwrap_or_default().join(","),
        )
    };
    assert_eq!(
        options("/one"),
        (Some("bind".to_owned()), "bind,private,ro,noexec".to_owned())
    );
    let lower = "ro,lowerdir=/layers/8:/layers/7,noexec";
    assert_eq!(options("/two"), (Some("overlay".to_owned()), lower.to_owned()));
    let annotations = case.spec().expect("a spec").annotations().clone().expect("annotations");
    assert_eq!(annotations[annotation::SUB_PATHS], r#"{"/two":"etc/app"}"#);
    for part in ["/etc", "../etc", "a/../../b"] {
        case.container.mounts = vec![volume("/two", part)];
        assert!(case.spec().is_err(), "{part}");
    }
    case.container.mounts = vec![volume("/one", "")];
    case.container.mounts[0].mount_options = vec!["suid".to_owned()];
    assert!(matches!(case.spec(), Err(SpecError::MountOption { .. })));
}
