//! What a container can't do, and what hostile images don't get.

use minik_runtime::oci::default_profile;
use serde_json::{Value, json};

use super::Test;
use super::pod::Pod;

pub(crate) const TESTS: &[Test] = &[
    ("processes_are_born_in_a_v2_cgroup", processes_are_born_in_a_v2_cgroup),
    (
        "an_old_clone_serves_where_clone3_is_filtered",
        an_old_clone_serves_where_clone3_is_filtered,
    ),
    ("the_executable_cannot_be_replaced", the_executable_cannot_be_replaced),
    ("rights_are_as_configured", rights_are_as_configured),
    ("the_default_profile_is_in_force", the_default_profile_is_in_force),
    ("paths_are_hidden_and_read_only", paths_are_hidden_and_read_only),
    ("devices_are_the_containers_own", devices_are_the_containers_own),
    (
        "links_in_an_image_lead_nowhere_else",
        links_in_an_image_lead_nowhere_else,
    ),
    (
        "the_kernels_files_are_where_no_image_puts_them",
        the_kernels_files_are_where_no_image_puts_them,
    ),
    (
        "a_working_directory_outside_is_refused",
        a_working_directory_outside_is_refused,
    ),
    ("no_descriptor_of_the_shim_leaks", no_descriptor_of_the_shim_leaks),
    ("bind_mounts_are_as_asked", bind_mounts_are_as_asked),
    ("mounts_propagate_only_when_asked", mounts_propagate_only_when_asked),
    ("what_the_host_refuses_is_noted", what_the_host_refuses_is_noted),
];

fn status(text: &str, key: &str) -> String {
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_else(|| panic!("{key} in {text}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn rights_are_as_configured() {
    let mut pod = Pod::new();
    let (_, text) = pod.run("root", "cat /proc/self/status", |_| {});
    // CHOWN 0, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(&text, set), "00000000000004e1", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(&text, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(&text, "NoNewPrivs"), "1");
    let user = |config: &mut Value| {
        config["process"]["user"] = json!({"uid": 101, "gid": 102, "additionalGids": [102, 5], "umask": 0o027});
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_NET_BIND_SERVICE"]);
        config["process"]["capabilities"]["ambient"] = json!(["CAP_NET_BIND_SERVICE"]);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
        config["process"]["cwd"] = json!("/made/for/it");
    };
    let (_, text) = pod.run(
        "user",
        "cat /proc/self/status; ulimit -n; umask; pwd; echo $GREETING $UNSET",
        user,
    );
    assert_eq!(
        status(&text, "CapEff"),
        "0000000000000400",
        "the ambient one alone is kept"
    );
    assert_eq!(
        (status(&text, "Uid:"), status(&text, "Gid:"), status(&text, "Groups:")),
        ("101".into(), "102".into(), "5".into())
    );
    assert!(text.ends_with("64\n0027\n/made/for/it\nhello"), "{text}");
}

fn the_default_profile_is_in_force() {
    let mut pod = Pod::new();
    let profile = serde_json::to_value(default_profile(&[])).unwrap();
    let confined = |privileges: bool| {
        let profile = profile.clone();
        move |config: &mut Value| {
            config["linux"]["seccomp"] = profile;
            config["process"]["noNewPrivileges"] = json!(privileges);
            let all = json!(["CAP_SYS_ADMIN", "CAP_SETUID"]);
            config["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
        }
    };
    let script = "cat /proc/self/status; mount -t tmpfs none /tmp || echo refused; echo a | cat";
    for (id, no_new_privileges) in [("sealed", true), ("unsealed", false)] {
        let (exit, text) = pod.run(id, script, confined(no_new_privileges));
        assert_eq!(exit.code, 0, "{text}");
        assert_eq!(status(&text, "Seccomp:"), "2");
        assert!(text.ends_with("refused\na"), "{text}");
    }
    let (_, text) = pod.run("free", "mount -t tmpfs none /tmp && echo mounted", |config| {
        config["process"]["capabilities"] = json!({"bounding": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"],
            "permitted": ["CAP_SYS_ADMIN"]});
    });
    assert_eq!(text, "mounted", "it was the profile that refused");
}

fn paths_are_hidden_and_read_only() {
    let mut pod = Pod::new();
    let script = "cat /proc/version; stat -c %t:%T /proc/version; ls /sys/firmware; \
                  touch /new && echo writable; echo 1 > /proc/sys/kernel/panic || echo protected; \
                  touch /sys/x 2>/dev/null || echo sys; touch /sys/fs/cgroup/x 2>/dev/null || echo cgroup; \
                  cat /proc/self/cgroup | grep -v ':/$'; ls /sys/fs/cgroup | head -1";
    let (_, text) = pod.run("c1", script, |_| {});
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5.min(lines.len())],
        ["1:3", "writable", "protected", "sys", "cgroup"],
        "{text}"
    );
    assert_eq!(lines.len(), 6, "its cgroup is the root of what it sees: {text}");
    let (_, text) = pod.run(
        "c2",
        "touch /new 2>/dev/null || echo readonly; touch /dev/shm/x && echo shm",
        |config| {
            config["root"]["readonly"] = json!(true);
        },
    );
    assert_eq!(text, "readonly\nshm");
    let (_, text) = pod.run("c3", "ls /dev/shm; cat /proc/mounts | grep -c overlay", |_| {});
    assert_eq!(
        text, "x\n1",
        "shared memory is the pod's, and the host's mounts are gone"
    );
}

fn devices_are_the_containers_own() {
    let mut pod = Pod::new();
    let rules = json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "access": "m"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]);
    let script = "echo x > /dev/null && echo null; head -c 1 /dev/zero >/dev/null 2>&1 || echo zero; ls /dev; \
                  stat -c '%a %t:%T' /dev/full";
    let (_, text) = pod.run("c1", script, |config| {
        config["linux"]["resources"] = json!({"devices": rules});
        config["linux"]["devices"] =
            json!([{"path": "/dev/extra/one", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600}]);
    });
    let nodes = "extra\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero";
    let controlled = minik_runtime::cgroup::detect().unwrap().controls_devices();
    let denied = if controlled { "zero\n" } else { "" };
    assert_eq!(text, format!("null\n{denied}{nodes}\n666 1:7"));
}

fn links_in_an_image_lead_nowhere_else() {
    let pod = Pod::new();
    let layer = pod.directory.path().join("layer");
    let victim = pod.directory.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, layer.join("data")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../..", layer.join("up")).unwrap();
    let source = pod.directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let mounts = ["/data/inside", "/up/tmp/deep/inside"].map(
        |destination| json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]}),
    );
    let started = pod.try_start("c1", &["sleep", "1000"], |config| {
        config["mounts"].as_array_mut().unwrap().extend(mounts);
    });
    assert_eq!(
        std::fs::read_dir(&victim).unwrap().count(),
        0,
        "nothing was made on the host"
    );
    assert!(!std::path::Path::new("/tmp/deep").exists());
    // What a dangling link leads to is made, in the root as ever; one that stays inside works.
    started.unwrap();
    let inside = pod.bundle("c1").join("upper").join(victim.strip_prefix("/").unwrap());
    assert!(inside.join("inside").exists());
    pod.start("c2", &["sleep", "1000"], |config| {
        let mount =
            json!({"destination": "/up/tmp/deep/inside", "type": "bind", "source": source, "options": ["rbind"]});
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    assert!(!std::path::Path::new("/tmp/deep").exists());
    assert!(pod.bundle("c2").join("upper/tmp/deep/inside").exists());
}

fn the_kernels_files_are_where_no_image_puts_them() {
    use std::os::unix::fs::symlink;
    let without = |config: &mut Value, path: &str| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with(path));
    };
    let refused = |prepare: &dyn Fn(&std::path::Path), change: &dyn Fn(&mut Value), words: &str| {
        let pod = Pod::new();
        prepare(&pod.directory.path().join("layer"));
        let started = pod.try_start("c1", &["sleep", "1000"], |config| change(config));
        let error = started.map(|_| ()).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    // A /proc that a link moves elsewhere (CVE-2019-19921, CVE-2023-27561).
    let ordinary = "ordinary directory";
    refused(&|layer| symlink("etc", layer.join("proc")).unwrap(), &|_| {}, ordinary);
    refused(&|layer| symlink("/tmp", layer.join("sys")).unwrap(), &|_| {}, ordinary);
    // A /proc of the image's own, which a kernel parameter would be written to (CVE-2019-16884, CVE-2025-52881).
    let parameters = |layer: &std::path::Path| {
        std::fs::create_dir_all(layer.join("proc/sys/net/ipv4")).unwrap();
        std::fs::write(layer.join("proc/sys/net/ipv4/ip_forward"), "").unwrap();
    };
    let set = |config: &mut Value| {
        without(config, "/proc");
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    };
    refused(&parameters, &set, "set sysctl");
    // Another file in the place of the null device that hides others (CVE-2025-31133).
    let null = |layer: &std::path::Path| {
        std::fs::create_dir(layer.join("dev")).unwrap();
        symlink("/proc/sys/kernel/core_pattern", layer.join("dev/null")).unwrap();
    };
    refused(&null, &|config| without(config, "/dev"), "null device");
    // A terminal in the place of what is to be hidden (CVE-2025-52565).
    let console = |layer: &std::path::Path| {
        std::fs::create_dir_all(layer.join("dev/pts")).unwrap();
        symlink("/proc/version", layer.join("dev/console")).unwrap();
    };
    let terminal = |config: &mut Value| {
        without(config, "/dev/shm");
        without(config, "/dev/mqueue");
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/dev");
        config["process"]["terminal"] = json!(true);
    };
    refused(&console, &terminal, "/dev/console");
}

fn a_working_directory_outside_is_refused() {
    let pod = Pod::new();
    for number in 3..12 {
        let id = format!("c{number}");
        let started = pod.try_start(&id, &["pwd"], |config| {
            config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"))
        });
        // Whatever descriptor it is, none is a directory of the host's (CVE-2024-21626).
        assert!(started.is_err(), "descriptor {number} can be entered");
    }
}

fn no_descriptor_of_the_shim_leaks() {
    let mut pod = Pod::new();
    let (_, text) = pod.run("c1", "ls /proc/self/fd", |_| {});
    assert_eq!(text, "0\n1\n2\n3", "its streams, and the directory that ls reads");
}

fn bind_mounts_are_as_asked() {
    let mut pod = Pod::new();
    let source = pod.directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "content\n").unwrap();
    let bind = |destination: &str, source: &std::path::Path, option: &str| json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rprivate", option]});
    let script = "cat /etc/one; touch /rw/new && echo written; touch /ro/new 2>/dev/null || echo refused; \
                  touch /rro/new 2>/dev/null || echo refused; echo x > /etc/one || echo refused";
    let (_, text) = pod.run("c1", script, |config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.extend([
            bind("/rw", &source, "rw"),
            bind("/ro", &source, "ro"),
            bind("/rro", &source, "rro"),
        ]);
        mounts.push(bind("/etc/one", &source.join("file"), "ro"));
    });
    assert_eq!(text, "content\nwritten\nrefused\nrefused\nrefused");
    assert!(source.join("new").exists());
}

fn mounts_propagate_only_when_asked() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let pod = Pod::new();
    let source = pod.directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let flags = MsFlags::MS_BIND;
    mount(Some(&source), &source, None::<&str>, flags, None::<&str>).unwrap();
    mount(None::<&str>, &source, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    let private = pod.start("private", &["sleep", "1000"], |config| {
        let own = json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", "rprivate"]});
        config["mounts"].as_array_mut().unwrap().push(own);
    });
    let slave = pod.start("slave", &["sleep", "1000"], |config| {
        let own = json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", "rslave"]});
        config["mounts"].as_array_mut().unwrap().push(own);
    });
    std::fs::create_dir(source.join("later")).unwrap();
    mount(
        Some("late"),
        &source.join("later"),
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    let sees = |pid: i32| {
        std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))
            .unwrap()
            .contains("/data/later")
    };
    let seen = (sees(private.pid), sees(slave.pid));
    umount2(&source.join("later"), MntFlags::MNT_DETACH).unwrap();
    let shared = pod.try_start(
        "shared",
        &["sh", "-c", "mount -t tmpfs made /data/later; sleep 1000"],
        |config| {
            let own =
                json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", "rshared"]});
            config["mounts"].as_array_mut().unwrap().push(own);
            config["process"]["capabilities"] = json!({"bounding": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"],
            "permitted": ["CAP_SYS_ADMIN"]});
        },
    );
    let mut host = std::fs::File::open("/proc/self/mounts").unwrap();
    let arrived = shared.is_ok() && until_mounts_contain(&mut host, "made");
    let _ = umount2(&source.join("later"), MntFlags::MNT_DETACH);
    umount2(&source, MntFlags::MNT_DETACH).unwrap();
    assert_eq!(seen, (false, true), "(private, slave)");
    assert!(arrived, "a mount made under rshared reaches the host");
}

/// A change of the mount table is an exceptional condition of its file (proc_pid_mounts(5)).
fn until_mounts_contain(file: &mut std::fs::File, name: &str) -> bool {
    use std::io::{Read, Seek};
    use std::os::fd::AsFd;
    loop {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        if text.lines().any(|line| line.starts_with(name)) {
            return true;
        }
        let mut changed = [nix::poll::PollFd::new(file.as_fd(), nix::poll::PollFlags::POLLPRI)];
        match nix::poll::poll(&mut changed, 5000_u16) {
            Ok(0) => return false,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => panic!("{errno}"),
        }
    }
}

fn what_the_host_refuses_is_noted() {
    let pod = Pod::new();
    let own = minik_runtime::sys::capabilities::permitted().unwrap();
    let has_sys_resource = own & (1 << 24) != 0;
    let started = pod.start("c1", &["sleep", "1000"], |config| {
        config["process"]["oomScoreAdj"] = json!(-997)
    });
    let adjusted = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", started.pid)).unwrap();
    if has_sys_resource {
        assert_eq!((adjusted.trim(), started.notes.len()), ("-997", 0));
    } else {
        assert!(
            started.notes[0].contains("oom_score_adj -997 is refused"),
            "{:?}",
            started.notes
        );
    }
}

fn code(cloned: &minik_runtime::sys::clone::Cloned) -> i32 {
    loop {
        match nix::sys::wait::waitpid(cloned.pid, None) {
            Ok(nix::sys::wait::WaitStatus::Exited(_, code)) => return code,
            Err(nix::errno::Errno::EINTR) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn processes_are_born_in_a_v2_cgroup() {
    use std::os::fd::AsFd;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts
        .lines()
        .find(|line| line.contains(" cgroup2 "))
        .expect("a cgroup2 mount");
    let name = format!("minik-shim-test-{}-born", std::process::id());
    let directory = std::path::Path::new(mount.split(' ').nth(1).unwrap()).join(&name);
    std::fs::create_dir(&directory).unwrap();
    let opened = std::fs::File::open(&directory).unwrap();
    let args = minik_runtime::sys::clone::CloneArgs {
        namespaces: 0,
        cgroup: Some(opened.as_fd()),
    };
    let cloned = minik_runtime::sys::clone::clone_child(&args, || {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        i32::from(!own.lines().any(|line| line.starts_with("0::") && line.ends_with(&name)))
    });
    let code = cloned.as_ref().map(code);
    std::fs::remove_dir(&directory).unwrap();
    assert_eq!(code, Ok(0));
}

fn an_old_clone_serves_where_clone3_is_filtered() {
    use minik_runtime::sys::clone::{CloneArgs, clone_child};
    let process = serde_json::from_value(json!({"user": {"uid": 0, "gid": 0}, "args": ["x"], "cwd": "/"})).unwrap();
    let plan = minik_runtime::launch::plan::process(&process, Some(&default_profile(&[]))).unwrap();
    let outer = clone_child(&CloneArgs::default(), || {
        if plan
            .seccomp
            .iter()
            .any(|program| minik_runtime::sys::seccomp::load(&program.program, 0, false).is_err())
        {
            return 1;
        }
        clone_child(&CloneArgs::default(), || 7).map_or(2, |inner| code(&inner))
    });
    assert_eq!(code(&outer.unwrap()), 7);
}

fn the_executable_cannot_be_replaced() {
    use nix::sys::statvfs::{FsFlags, statvfs};
    let pod = Pod::new();
    let shim = std::path::PathBuf::from(format!("/proc/{}/exe", pod.shim_pid()));
    assert!(
        statvfs(&shim).unwrap().flags().contains(FsFlags::ST_RDONLY),
        "CVE-2019-5736"
    );
    assert!(
        !statvfs(&std::env::current_exe().unwrap())
            .unwrap()
            .flags()
            .contains(FsFlags::ST_RDONLY)
    );
}
