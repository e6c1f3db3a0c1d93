//! Tables: what config.json says, and what will be done.

use nix::mount::MsFlags;
use serde_json::{Value, json};

use super::*;
use crate::oci::{Rootfs, default_profile};
use crate::sys::mounts::attribute;

fn planned(change: impl FnOnce(&mut Value)) -> Result<Plan, PlanError> {
    let mut config = json!({
        "ociVersion": "1.0.2", "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}
    });
    change(&mut config);
    let spec: Spec = serde_json::from_value(config).expect("valid JSON");
    plan(&spec, Path::new("/bundle"), &[])
}

#[test]
fn namespaces_are_made_or_joined() {
    let plan = planned(|config| {
        config["linux"]["namespaces"] =
            json!([{"type": "pid"}, {"type": "cgroup"}, {"type": "network", "path": "/ns/net"}]);
        config["hostname"] = json!("ignored without a UTS namespace of its own");
    })
    .expect("a plan");
    assert_eq!(plan.namespaces, CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID);
    assert_eq!(plan.join, [(CloneFlags::CLONE_NEWNET, PathBuf::from("/ns/net"))]);
    assert!(plan.cgroup_namespace);
    assert_eq!(plan.hostname, None);
    let refused = planned(|config| config["linux"]["namespaces"] = json!([{"type": "user"}]));
    assert!(matches!(refused, Err(PlanError::Unsupported { .. })));
}

fn overlay_of(rootfs: &Rootfs) -> Result<Overlay, PlanError> {
    overlay(&rootfs.lower, Some((&rootfs.upper, &rootfs.work)), false)
}

#[test]
fn mount_options_become_attributes() {
    let plan = planned(|config| {
        config["mounts"] = json!([
            {"destination": "/data", "type": "bind", "source": "/host", "options": ["rbind", "ro", "nosuid", "rslave"]},
            {"destination": "/all", "type": "bind", "source": "/host", "options": ["rbind", "rro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=64k"]}
        ]);
    })
    .expect("a plan");
    let MountPlan::Bind(bind) = &plan.mounts[0] else {
        panic!("a bind mount")
    };
    assert!(bind.recursive);
    assert_eq!(bind.attributes.set, attribute::RDONLY | attribute::NOSUID);
    assert_eq!(bind.recursive_attributes.set, 0, "mounts below stay writable");
    assert_eq!(bind.recursive_attributes.propagation, MsFlags::MS_SLAVE.bits());
    let MountPlan::Bind(bind) = &plan.mounts[1] else {
        panic!("a bind mount")
    };
    assert_eq!(bind.recursive_attributes.set, attribute::RDONLY);
    assert_eq!(
        bind.recursive_attributes.propagation,
        MsFlags::MS_PRIVATE.bits(),
        "nothing propagates unasked"
    );
    let MountPlan::New(new) = &plan.mounts[2] else {
        panic!("a new mount")
    };
    assert_eq!(new.attributes, attribute::NOSUID | attribute::STRICTATIME);
    assert_eq!(
        new.options,
        [
            (c"mode".into(), Some(c"755".into())),
            (c"size".into(), Some(c"64k".into()))
        ]
    );
    let remount = json!([{"destination": "/", "type": "bind", "source": "/", "options": ["remount"]}]);
    assert!(planned(|config| config["mounts"] = remount).is_err());
}

#[test]
fn layers_are_named_from_their_common_directory() {
    let rootfs = Rootfs {
        lower: vec!["/data/snapshots/12/fs".into(), "/data/snapshots/3/fs".into()],
        upper: "/data/snapshots/40/fs".into(),
        work: "/data/snapshots/40/work".into(),
    };
    let overlay = overlay_of(&rootfs).expect("it fits");
    assert_eq!(overlay.directory, Path::new("/data/snapshots"));
    assert_eq!(
        overlay.options.as_c_str(),
        c"lowerdir=12/fs:3/fs,upperdir=40/fs,workdir=40/work"
    );
    let odd = Rootfs {
        lower: vec!["/a:b,c/fs".into()],
        upper: "/u".into(),
        work: "/w".into(),
    };
    assert_eq!(
        overlay_of(&odd).expect("it fits").options.as_c_str(),
        c"lowerdir=a\\:b\\,c/fs,upperdir=u,workdir=w"
    );
    let many = Rootfs {
        lower: (0..600).map(|n| format!("/data/{n:05}/fs").into()).collect(),
        ..rootfs
    };
    assert!(matches!(overlay_of(&many), Err(PlanError::TooManyLayers(_))));
}

#[test]
fn commands_are_looked_for_in_path() {
    let of = |command: &str, env: &[&str]| {
        let env: Vec<String> = env.iter().map(ToString::to_string).collect();
        let found = process::candidates(command, &env).expect("no NUL");
        found
            .iter()
            .map(|c| c.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of("ls", &["PATH=/a", "PATH=/b:/c/:"]), "/b/ls /c/ls ./ls");
    assert_eq!(of("./ls", &["PATH=/a"]), "./ls");
    assert!(of("ls", &[]).starts_with("/usr/local/sbin/ls "));
    assert!(planned(|config| config["process"]["args"] = json!(["a\0b"])).is_err());
    assert!(planned(|config| config["process"]["args"] = json!([])).is_err());
}

#[test]
fn kernel_parameters_are_files() {
    let table = [
        ("net.ipv4.ip_forward", "proc/sys/net/ipv4/ip_forward"),
        (
            "net.ipv4.conf.eth0/1.forwarding",
            "proc/sys/net/ipv4/conf/eth0.1/forwarding",
        ),
        (
            "net/ipv4/conf/eth0.1/forwarding",
            "proc/sys/net/ipv4/conf/eth0.1/forwarding",
        ),
    ];
    for (key, path) in table {
        assert_eq!(sysctl_path(key), Path::new(path), "{key}");
    }
}

#[test]
fn the_default_profile_compiles() {
    for capabilities in [vec![], vec!["SYS_ADMIN".to_owned()]] {
        let programs = seccomp::compile(&default_profile(&capabilities)).expect("it compiles");
        // The second filter only says which error clone3 gives.
        assert_eq!(programs.len(), if capabilities.is_empty() { 2 } else { 1 });
        assert!(
            programs.iter().all(|filter| filter.program.len() < 4096),
            "the kernel's limit"
        );
    }
}

#[test]
fn profiles_of_all_shapes_compile() {
    let table = [
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#,
            1,
        ),
        (r#"{"defaultAction":"SCMP_ACT_LOG"}"#, 1),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#, 0),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["no_such_call","read"],"action":"SCMP_ACT_ALLOW"}]}"#,
            1,
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"},
                {"names":["write"],"action":"SCMP_ACT_LOG"},{"names":["open"],"action":"SCMP_ACT_KILL_PROCESS"}]}"#,
            3,
        ),
    ];
    for (json, count) in table {
        let profile = serde_json::from_str(json).expect("a profile");
        assert_eq!(seccomp::compile(&profile).expect("it compiles").len(), count, "{json}");
    }
    let notify = serde_json::from_str(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).expect("a profile");
    assert!(matches!(seccomp::compile(&notify), Err(PlanError::Unsupported { .. })));
}

#[test]
fn a_user_namespace_is_entered_with_who_its_users_are() {
    let enter = |change: fn(&mut Value)| {
        planned(|config| {
            let mapping = json!([{"containerID": 0, "hostID": 65536, "size": 1000}]);
            config["linux"]["namespaces"] = json!([{"type": "user", "path": "/ns/user"}]);
            config["linux"]["uidMappings"] = mapping.clone();
            config["linux"]["gidMappings"] = mapping.clone();
            config["mounts"] = json!([{"destination": "/data", "type": "bind", "source": "/host", "options": ["bind"],
                "uidMappings": mapping, "gidMappings": mapping}]);
            change(config);
        })
    };
    let plan = enter(|_| {}).expect("a plan");
    let (path, users) = plan.users.expect("users");
    assert_eq!((path, users.root()), (PathBuf::from("/ns/user"), (65_536, 65_536)));
    assert!(matches!(&plan.mounts[0], MountPlan::Bind(bind) if bind.idmapped));
    assert!(plan.join.is_empty(), "it is entered last");
    let refused: [fn(&mut Value); 3] = [
        |config| config["linux"]["uidMappings"][0]["containerID"] = json!(1),
        |config| config["process"]["user"]["uid"] = json!(1000),
        |config| config["mounts"][0]["uidMappings"][0]["hostID"] = json!(1),
    ];
    for change in refused {
        assert!(matches!(enter(change), Err(PlanError::Unsupported { .. })));
    }
}

#[test]
fn layers_become_one_mount_and_parts_are_named() {
    let plan = planned(|config| {
        config["mounts"] = json!([
            {"destination": "/app", "type": "overlay", "source": "overlay", "options": ["ro", "lowerdir=/l/2/fs:/l/1/fs"]},
            {"destination": "/etc/app", "type": "bind", "source": "/l/1/fs", "options": ["bind", "ro"]}
        ]);
        config["annotations"] = json!({"minik.dev/sub-paths": r#"{"/etc/app": "etc"}"#});
    })
    .expect("a plan");
    let MountPlan::Layers(layers) = &plan.mounts[0] else {
        panic!("layers")
    };
    assert_eq!(
        (layers.overlay.directory.as_path(), layers.overlay.options.to_str()),
        (Path::new("/l"), Ok("lowerdir=2/fs:1/fs"))
    );
    assert_eq!(layers.attributes.set, attribute::RDONLY);
    assert!(matches!(&plan.mounts[1], MountPlan::Bind(bind) if bind.sub_path.as_deref() == Some(Path::new("etc"))));
    let odd = planned(|config| config["annotations"] = json!({"minik.dev/sub-paths": "no JSON"}));
    assert!(matches!(odd, Err(PlanError::Annotation { .. })));
}
