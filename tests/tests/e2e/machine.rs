//! The whole node on machines that have one version of cgroups alone, whatever this machine has.

use std::fs;

use minik_tests::executable;
use minik_tests::vm::{self, Cgroups, File};
use serde_json::json;
use tempfile::TempDir;

use crate::{SERVE, archive, pod};

/// What differs for the script: the hierarchy that is looked into, and the files of the limits, from the container's cgroup.
struct Layout {
    cgroups: Cgroups,
    root: &'static str,
    memory: &'static str,
    cpu_root: &'static str,
    cpu: &'static str,
    /// How a container ends whose shell goes on after a command of it was killed for want of memory: v2 ends it as a whole.
    hungry: &'static str,
    /// Tests of the runtime's suite that need what isn't here.
    skip: &'static str,
}

/// A node's day: it prints what it finds as `name=value`, the test judges.
const DAY: &str = r#"
runtime-tests cgroup:: $SKIP || exit 1
minikctl up || { tail -n 40 /var/lib/minik/default/logs/*; exit 1; }
minikctl image import /data/busybox.tar
minikctl apply -f /data/hungry.json
minikctl wait pod/hungry --for "jsonpath={.status.phase}=Failed" --timeout 60s || { minikctl describe pod hungry; exit 1; }
terminated() { minikctl get pod "$1" -o "jsonpath={.status.containerStatuses[0].state.terminated.$2}"; }
echo "hungry=$(terminated hungry reason) $(terminated hungry exitCode)"

minikctl apply -f /data/limited.json
minikctl wait pod/limited --for condition=Ready --timeout 60s || { minikctl describe pod limited; exit 1; }
uid=$(minikctl get pod limited -o "jsonpath={.metadata.uid}")
container=$(find "$ROOT" -type d -path "*/pod$uid/*")
path=${container#"$ROOT"}
own() { sed -nE 's/^[0-9]+:(memory)?://p'; }
pid=$(head -n 1 "$container/cgroup.procs")
echo "path=$path"
echo "outside=$(own <"/proc/$pid/cgroup")"
echo "exec=$(minikctl exec limited -- cat /proc/self/cgroup | own)"
echo "memory=$(cat "$container/$MEMORY")"
echo "cpu=$(cat "$CPU_ROOT$path/$CPU")"
echo "name=$(cat "/proc/$pid/comm"), child of $(cat "/proc/$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$pid/status")/comm")"
for kind in cgroup ipc mnt net pid uts; do
  [ "$(readlink "/proc/$pid/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ] || echo "shared=$kind"
done
echo "root=$(minikctl exec limited -- sh -c 'echo written >/file && cat /file && grep -c "^overlay / " /proc/mounts' | tr '\n' ' ')"
echo "mounted=$(grep -c overlay /proc/mounts)" || true
kill -9 "$pid"
minikctl wait pod/limited --for "jsonpath={.status.phase}=Failed" --timeout 60s
echo "killed=$(terminated limited reason) $(terminated limited exitCode)"

minikctl delete pod --all
find /sys/fs/cgroup -type d -name 'pod*' | sed 's/^/left=/'
minikctl down --purge
find /sys/fs/cgroup -type d -name '*minik*' | sed 's/^/left=/'
sed -n 's/.*minik.*/left=&/p' /proc/mounts
ip -o link | sed -n '/ lo:/!s/^/left=/p'
ip route | sed 's/^/left=/'
ps -o args | sed -n '/^[^ ]*minikctl/s/^/left=/p'
"#;

fn day(layout: &Layout) {
    let folder = TempDir::with_prefix("minik-day-").expect("a temporary folder");
    let limits = |memory: &str| json!({"resources": {"limits": {"memory": memory, "cpu": "500m"}}});
    let write = |name: &str, manifest: String| {
        let path = folder.path().join(name);
        fs::write(&path, manifest).expect("the manifest is written");
        path
    };
    let hungry = "dd if=/dev/zero of=/dev/null bs=64M count=1; exit 3";
    let change = json!({"spec": {"restartPolicy": "Never", "containers": [limits("32Mi")]}});
    let hungry = write("hungry.json", pod("hungry", hungry, change));
    let change = json!({"spec": {"restartPolicy": "Never", "containers": [limits("64Mi")]}});
    let limited = write("limited.json", pod("limited", SERVE, change));
    let tests = executable::runtime_tests();
    let file = |from, to| File { from, to };
    let files = [
        file(executable::minikctl(), "bin/minikctl"),
        file(&tests, "bin/runtime-tests"),
        file(archive(), "data/busybox.tar"),
        file(&hungry, "data/hungry.json"),
        file(&limited, "data/limited.json"),
    ];
    let variables = [
        ("ROOT", layout.root),
        ("MEMORY", layout.memory),
        ("CPU_ROOT", layout.cpu_root),
        ("CPU", layout.cpu),
        ("SKIP", layout.skip),
    ];
    let variables = variables.map(|(name, value)| format!("{name}='{value}'\n")).concat();
    let printed = vm::run(layout.cgroups, &files, &format!("{variables}{DAY}"));
    let all = |name: &str| -> Vec<&str> { printed.lines().filter_map(|line| line.strip_prefix(name)).collect() };
    let value = |name: &str| match all(name)[..] {
        [value] => value.trim(),
        _ => panic!("no {name}\n{printed}"),
    };
    assert_eq!(value("hungry="), layout.hungry, "{printed}");
    assert_eq!(value("killed="), "Error 137", "a kill is no want of memory\n{printed}");
    assert!(value("path=").starts_with("/minik-default/kubepods/pod"), "{printed}");
    assert_eq!(
        value("outside="),
        value("path="),
        "the process is in its cgroup\n{printed}"
    );
    assert_eq!(value("exec="), "/", "an exec is in the container's cgroup\n{printed}");
    assert_eq!(value("memory="), "67108864", "{printed}");
    assert!(["50000 100000", "50000"].contains(&value("cpu=")), "{printed}");
    assert_eq!(value("name="), "sh, child of shim", "{printed}");
    assert_eq!(all("shared="), [""; 0], "namespaces of the machine's\n{printed}");
    assert_eq!(value("root="), "written 1", "the root is an overlay\n{printed}");
    assert_eq!(value("mounted="), "0", "only the container sees its root\n{printed}");
    assert_eq!(all("left="), [""; 0], "left behind\n{printed}");
}

#[test]
fn a_node_lives_on_cgroup_v2_alone() {
    day(&Layout {
        cgroups: Cgroups::V2,
        root: "/sys/fs/cgroup",
        memory: "memory.max",
        cpu_root: "/sys/fs/cgroup",
        cpu: "cpu.max",
        hungry: "OOMKilled 137",
        skip: "",
    });
}

#[test]
fn a_node_lives_on_cgroup_v1_alone() {
    day(&Layout {
        cgroups: Cgroups::V1,
        root: "/sys/fs/cgroup/memory",
        memory: "memory.limit_in_bytes",
        cpu_root: "/sys/fs/cgroup/cpu,cpuacct",
        cpu: "cpu.cfs_quota_us",
        hungry: "OOMKilled 3",
        skip: "--skip v2_",
    });
}
