//! The sections of config.json, each seen from inside.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use minik_runtime::sys::descriptors;
use serde_json::{Value, json};

use crate::bundle::Bundle;

fn outcome(script: &str, change: impl FnOnce(&mut Value)) -> String {
    Bundle::script(script).with(change).run().ok()
}

#[test]
fn process() {
    let text = outcome(
        "id; umask; ulimit -n; cat /proc/self/oom_score_adj; grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'",
        |config| {
            config["process"]["user"] = json!({"uid": 10, "gid": 11, "additionalGids": [12], "umask": 0o077});
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
            config["process"]["oomScoreAdj"] = json!(500);
            config["process"]["noNewPrivileges"] = json!(true);
            let own = json!(["CAP_CHOWN"]);
            config["process"]["capabilities"] = json!({"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": own,
                "effective": own, "inheritable": own, "ambient": own});
        },
    );
    assert_eq!(
        text,
        "uid=10 gid=11 groups=12\n0077\n100\n500\nCapEff:0000000000000001\nCapBnd:0000000000000021\nNoNewPrivs:1"
    );
}

#[test]
fn scheduling_and_personality() {
    // Field 19 of stat is the nice value, field 41 the policy; 3 is SCHED_BATCH.
    let text = outcome(
        "set -- $(cat /proc/self/stat); shift 18; echo $1; shift 22; echo $1; uname -m",
        |config| {
            config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
            config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
            config["linux"]["personality"] = json!({"domain": "LINUX32"});
        },
    );
    let machine = if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" };
    assert_eq!(text, format!("5\n3\n{machine}"));
}

#[test]
fn names_and_sysctls() {
    let text = outcome(
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward; ifconfig lo | grep -c UP",
        |config| {
            config["hostname"] = json!("a-host");
            config["domainname"] = json!("a-domain");
            config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        },
    );
    assert_eq!(text, "a-host\na-domain\n1\n1");
}

#[test]
fn a_time_namespace_has_its_own_clock() {
    let text = outcome("cat /proc/self/timens_offsets /proc/uptime", |config| {
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1000}, "boottime": {"secs": 100_000_000}});
    });
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(&words[..6], ["monotonic", "1000", "0", "boottime", "100000000", "0"]);
    assert!(words[6].parse::<f64>().unwrap() > 100_000_000.0, "{text}");
}

#[test]
fn mounts_and_their_options() {
    let bundle = Bundle::script(
        "grep -E ' /(tmp|data|copied) ' /proc/self/mountinfo | tr -s ' ' ; cat /copied/dir/file; stat -c '%u %a' /copied/dir; \
         readlink /copied/link; touch /data/x 2>/dev/null || echo read-only",
    );
    let source = bundle.path("source");
    fs::create_dir(&source).unwrap();
    for path in ["rootfs/copied/dir", "rootfs/data"] {
        fs::create_dir_all(bundle.path(path)).unwrap();
    }
    fs::write(bundle.path("rootfs/copied/dir/file"), "of the image\n").unwrap();
    std::os::unix::fs::chown(bundle.path("rootfs/copied/dir"), Some(7), Some(7)).unwrap();
    symlink("/nowhere", bundle.path("rootfs/copied/link")).unwrap();
    let bundle = bundle.with(|config| {
        config["mounts"].as_array_mut().unwrap().extend([
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "size=64k"]}),
            json!({"destination": "/data", "type": "bind", "source": source.to_str().unwrap(), "options": ["rbind", "rro", "rprivate", "noatime"]}),
            json!({"destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
        ]);
    });
    let text = bundle.run().ok();
    assert!(text.contains(" /tmp rw,nosuid,nodev,noexec,relatime - tmpfs"), "{text}");
    assert!(text.contains(" /data ro,noatime - "), "{text}");
    assert!(text.ends_with("of the image\n7 755\n/nowhere\nread-only"), "{text}");
    assert_eq!(fs::read_dir(bundle.path("source")).unwrap().count(), 0);
}

#[test]
fn the_root_propagates_as_asked_and_is_read_only() {
    for (asked, optional) in [("rprivate", false), ("rshared", true)] {
        let text = outcome(
            "grep ' / / ' /proc/self/mountinfo || grep ' / ' /proc/self/mountinfo; touch /x || echo read-only",
            |config| {
                config["linux"]["rootfsPropagation"] = json!(asked);
                config["root"]["readonly"] = json!(true);
            },
        );
        assert_eq!(text.contains(" shared:"), optional, "{asked}: {text}");
        assert!(text.ends_with("read-only"), "{text}");
    }
}

#[test]
fn devices_are_those_of_the_list_and_the_default_ones() {
    let text = outcome(
        "echo x > /dev/null && ls -l /dev/zero /dev/own | grep -c '^crw'; readlink /dev/stdout; stat -c '%a %u' /dev/own; \
         cat /dev/own | dd bs=1 count=1 2>/dev/null | grep -c . ; cat /dev/denied 2>&1 || true",
        |config| {
            config["linux"]["devices"] = json!([
                {"path": "/dev/own", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 5, "gid": 5},
                {"path": "/dev/denied", "type": "c", "major": 1, "minor": 11}
            ]);
            config["process"]["capabilities"] = json!({"bounding": ["CAP_DAC_OVERRIDE"], "permitted": ["CAP_DAC_OVERRIDE"],
                "effective": ["CAP_DAC_OVERRIDE"]});
        },
    );
    assert!(text.starts_with("2\n/proc/self/fd/1\n640 5\n"), "{text}");
    assert!(text.contains("/dev/denied': Operation not permitted"), "{text}");
}

#[test]
fn cgroups_without_a_namespace_of_their_own_show_the_containers() {
    let bundle =
        Bundle::script("cat /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null | tr '\\n' ' '")
            .with(|config| {
                config["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}, {"type": "network"}]);
                config["mounts"].as_array_mut().unwrap().extend([
            json!({"destination": "/sys", "type": "tmpfs", "source": "tmpfs"}),
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}),
        ]);
            });
    let text = bundle.run().ok();
    // On v1 the processes of the script's pipe, in the container's numbers; a v2 host shows its own tree.
    if std::path::Path::new("/sys/fs/cgroup/pids").exists() {
        assert!(text.starts_with("1 "), "{text}");
        assert!(text.split_whitespace().count() <= 4, "{text}");
    }
}

#[test]
fn filtered_system_calls_fail_or_are_told() {
    let text = outcome("mkdir /tmp/a 2>&1; echo $?", |config| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]});
    });
    assert!(text.contains("No space left on device"), "{text}");

    let bundle = Bundle::script("mkdir /tmp/a 2>&1; echo $?");
    let agent = UnixListener::bind(bundle.path("agent.sock")).unwrap();
    let path = bundle.path("agent.sock");
    let bundle = bundle.with(|config| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path.to_str().unwrap(),
            "listenerMetadata": "of-test",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]});
    });
    let told = std::thread::spawn(move || {
        let (socket, _) = agent.accept().unwrap();
        let mut buffer = [0; 16 * 1024];
        let (length, fds) = descriptors::receive(socket.as_fd(), &mut buffer).unwrap();
        let state: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        // An agent that ends leaves the call unimplemented.
        (state, fds.len())
    });
    let text = bundle.run().ok();
    assert!(text.contains("Function not implemented"), "{text}");
    let (state, count) = told.join().unwrap();
    assert_eq!(
        (count, &state["metadata"], &state["fds"]),
        (1, &json!("of-test"), &json!(["seccompFd"]))
    );
    assert_eq!(state["state"]["id"], json!(bundle.id));
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let cases: [(&str, Value); 5] = [
        ("/linux/intelRdt", json!({"closID": "x"})),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_LOCAL"})),
        ("/linux/netDevices", json!({"eth0": {}})),
        ("/linux/mountLabel", json!("system_u:object_r:x")),
        ("/process/apparmorProfile", json!("no-such-profile")),
    ];
    for (pointer, value) in cases {
        let (section, field) = pointer[1..].split_once('/').unwrap();
        let error = Bundle::new(&["true"])
            .with(|config| config[section][field] = value)
            .run()
            .failed();
        let named = error.contains(field) || error.contains("AppArmor");
        assert!(named, "{pointer}: {error}");
    }
}
