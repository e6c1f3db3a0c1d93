//! What the kernel says of a container: its namespaces, cgroup, limits, capabilities and mounts.

use std::fs;
use std::path::Path;

use minik_tests::World;
use serde_json::json;

use crate::{SERVE, node, pod};

/// The pid, outside, of the container's first process.
fn pid(world: &World, marker: &str) -> u32 {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found = pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        let first = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let inner = first
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .unwrap_or_default();
        environment.contains(&format!("MARKER={marker}")) && inner.split_whitespace().last() == Some("1")
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no process 1 with MARKER={marker}\n{}", world.logs()))
}

fn namespace(pid: u32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("the process is there");
    link.display().to_string()
}

fn marked(marker: &str) -> serde_json::Value {
    json!({"env": [{"name": "MARKER", "value": marker}]})
}

#[test]
fn containers_have_namespaces_of_their_own_and_share_those_of_their_pod() {
    let world = node();
    let (one, two) = (format!("{}-one", world.instance()), format!("{}-two", world.instance()));
    let mut second = marked(&two);
    second["name"] = "second".into();
    second["image"] = crate::BUSYBOX.into();
    second["imagePullPolicy"] = "Never".into();
    second["command"] = json!(["sh", "-c", SERVE]);
    world.apply(&pod(
        "two",
        SERVE,
        json!({"spec": {"containers": [marked(&one), second]}}),
    ));
    world.wait("pod/two", "condition=Ready");
    let (one, two, own) = (pid(&world, &one), pid(&world, &two), std::process::id());
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(
            namespace(one, kind),
            namespace(two, kind),
            "containers of a pod share {kind}"
        );
        assert_ne!(namespace(one, kind), namespace(own, kind), "{kind} is the pod's own");
    }
    for kind in ["pid", "mnt", "cgroup"] {
        assert_ne!(
            namespace(one, kind),
            namespace(two, kind),
            "{kind} is each container's own"
        );
        assert_ne!(
            namespace(one, kind),
            namespace(own, kind),
            "{kind} is not the machine's"
        );
    }
    let cgroup = fs::read_to_string(format!("/proc/{one}/cgroup")).expect("the process is there");
    assert!(
        cgroup.contains(&format!("/minik-{}/kubepods", world.instance())),
        "{cgroup}"
    );
    let parent = fs::read_to_string(format!("/proc/{one}/status")).expect("the process is there");
    let parent = parent
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .expect("it has a parent")
        .trim()
        .to_owned();
    let shim = fs::read_to_string(format!("/proc/{parent}/cmdline"))
        .expect("the shim runs")
        .replace('\0', " ");
    assert!(shim.contains(" shim "), "the parent is the pod's shim: {shim}");
}

#[test]
fn limits_are_those_of_the_manifest() {
    let world = node();
    let marker = format!("{}-limits", world.instance());
    let mut container = marked(&marker);
    container["resources"] = json!({"limits": {"memory": "64Mi", "cpu": "500m"}});
    world.apply(&pod("limited", SERVE, json!({"spec": {"containers": [container]}})));
    world.wait("pod/limited", "condition=Ready");
    assert_eq!(world.value("pod/limited", "{.status.qosClass}"), "Guaranteed");
    let pid = pid(&world, &marker);
    assert_eq!(
        controller_file(pid, "memory", ["memory.max", "memory.limit_in_bytes"]),
        "67108864"
    );
    let quota = controller_file(pid, "cpu", ["cpu.max", "cpu.cfs_quota_us"]);
    assert!(["50000 100000", "50000"].contains(&quota.as_str()), "{quota}");
}

/// A file of the process's cgroup, by its name in v2 or in v1.
fn controller_file(pid: u32, controller: &str, names: [&str; 2]) -> String {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process is there");
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().expect("controllers"), parts.next().expect("a path"));
        let roots = match controllers {
            "" => vec!["/sys/fs/cgroup".to_owned(), "/sys/fs/cgroup/unified".to_owned()],
            v1 if v1.split(',').any(|name| name == controller) => {
                vec![format!("/sys/fs/cgroup/{controller}"), format!("/sys/fs/cgroup/{v1}")]
            }
            _ => continue,
        };
        for (root, name) in roots.iter().flat_map(|root| names.map(|name| (root, name))) {
            if let Ok(text) = fs::read_to_string(Path::new(root).join(path.trim_start_matches('/')).join(name)) {
                return text.trim().to_owned();
            }
        }
    }
    panic!("no {names:?} for process {pid}:\n{cgroups}")
}

#[test]
fn a_container_can_do_no_more_than_it_should() {
    let world = node();
    let marker = format!("{}-bounds", world.instance());
    world.apply(&pod(
        "bounds",
        SERVE,
        json!({"spec": {"containers": [marked(&marker)]}}),
    ));
    world.wait("pod/bounds", "condition=Ready");
    let status = fs::read_to_string(format!("/proc/{}/status", pid(&world, &marker))).expect("the process is there");
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("the field is there");
        line.trim().to_owned()
    };
    assert_eq!(
        field("CapEff:"),
        "00000000a80425fb",
        "containerd's default capabilities"
    );
    assert_eq!(field("Seccomp:"), "2", "a filter is set");
    let exec = |script: &str| world.minikctl(["exec", "bounds", "--", "sh", "-c", script]).output();
    for (script, why) in [
        ("mount -t tmpfs none /tmp", "mounting"),
        ("echo 1 > /proc/sys/kernel/panic", "read-only /proc/sys"),
        ("cat /proc/kcore | head -c 1 | grep .", "masked /proc/kcore"),
        ("echo x > /sys/fs/cgroup/x", "read-only cgroup"),
        ("unshare -U true", "a new user namespace"),
    ] {
        let output = exec(script);
        assert_ne!(output.code, 0, "{why} is refused: {output}");
    }
    let processes = exec("ps -o pid= | wc -l").stdout;
    assert!(
        processes.trim().parse::<u32>().expect("a number") < 8,
        "other processes are seen: {processes}"
    );
}

#[test]
fn users_groups_and_read_only_roots_are_as_asked() {
    let world = node();
    let change = json!({"spec": {
        "securityContext": {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000},
        "containers": [{"securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}}, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "emptyDir": {}}]}});
    world.apply(&pod("user", SERVE, change));
    world.wait("pod/user", "condition=Ready");
    let exec = |script: &str| world.minikctl(["exec", "user", "--", "sh", "-c", script]).output();
    assert_eq!(exec("id -u; id -g").stdout, "1000\n3000\n");
    assert!(exec("id -G").stdout.contains("2000"), "{}", exec("id -G"));
    assert_ne!(exec("touch /tmp/x").code, 0, "the root is read-only");
    assert_eq!(
        exec("touch /data/x && echo done").stdout,
        "done\n",
        "the volume is the group's"
    );
    assert_eq!(
        exec("grep CapBnd /proc/self/status").stdout.split_whitespace().last(),
        Some("0000000000000000")
    );
    assert_eq!(
        exec("grep NoNewPrivs /proc/self/status")
            .stdout
            .split_whitespace()
            .last(),
        Some("1")
    );
}
