//! One behaviour suite for whatever this host has: it runs the same on v1, v2 and hybrid.

use std::process::{Child, Command, Stdio};

use super::*;

/// A cgroup of this test's own that is gone afterwards, whatever happens.
struct Own {
    driver: Box<dyn Driver>,
    parent: CgroupPath,
}

impl Own {
    fn new(name: &str) -> Self {
        let driver = detect().expect("a host with cgroups, and root to use them");
        let parent = format!("/minik-test-{}-{name}", std::process::id());
        Self {
            driver,
            parent: CgroupPath::parse(Path::new(&parent)).expect("a plain path"),
        }
    }

    fn child(&self, name: &str) -> CgroupPath {
        CgroupPath(self.parent.0.join(name))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.driver.kill(&self.parent);
        let _ = self.driver.remove(&self.parent);
    }
}

fn sleeper() -> Child {
    Command::new("sleep")
        .arg("60")
        .stdout(Stdio::null())
        .spawn()
        .expect("sleep")
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("pids fit"))
}

#[test]
fn paths_stay_inside() {
    for bad in ["relative", "/", "/a/../b", ""] {
        assert!(CgroupPath::parse(Path::new(bad)).is_err(), "{bad}");
    }
    let path = CgroupPath::parse(Path::new("/a/b")).expect("a plain path");
    assert_eq!(path.levels(), [Path::new("a"), Path::new("a/b")]);
}

#[test]
fn create_makes_parents_and_is_repeatable() {
    let own = Own::new("create");
    let deep = own.child("burstable/pod1/container");
    own.driver.create(&deep).expect("create");
    own.driver.create(&deep).expect("create again");
    assert_eq!(own.driver.processes(&deep).expect("listed"), []);
    own.driver.remove(&own.parent).expect("remove with those below");
    assert!(own.driver.processes(&deep).is_err());
    own.driver.remove(&own.parent).expect("remove what is gone");
    own.driver.kill(&deep).expect("kill what is gone");
}

#[test]
fn limits_are_applied_and_told() {
    let own = Own::new("limits");
    let path = own.child("a");
    own.driver.create(&path).expect("create");
    let resources: LinuxResources = serde_json::from_str(
        r#"{"cpu":{"shares":512,"quota":50000,"period":100000},"memory":{"limit":67108864},"pids":{"limit":37}}"#,
    )
    .expect("valid");
    let notes = own.driver.apply(&path, &resources).expect("apply");
    assert_eq!(notes, Vec::<String>::new(), "a host for containers enforces these");
    assert_eq!(
        own.driver.stats(&path).expect("stats").memory_limit_bytes,
        Some(67_108_864)
    );
    let smaller: LinuxResources = serde_json::from_str(r#"{"memory":{"limit":33554432}}"#).expect("valid");
    own.driver.apply(&path, &smaller).expect("apply again");
    assert_eq!(
        own.driver.stats(&path).expect("stats").memory_limit_bytes,
        Some(33_554_432)
    );
}

#[test]
fn processes_are_counted_and_killed_below_too() {
    let own = Own::new("kill");
    let (outer, inner) = (own.child("a"), own.child("b/c"));
    own.driver.create(&outer).expect("create");
    own.driver.create(&inner).expect("create");
    let mut children = [sleeper(), sleeper()];
    own.driver.add(&outer, pid_of(&children[0])).expect("add");
    own.driver.add(&inner, pid_of(&children[1])).expect("add");
    assert_eq!(own.driver.processes(&own.parent).expect("listed").len(), 2);
    assert_eq!(own.driver.stats(&outer).expect("stats").tasks, 1);
    assert!(
        own.driver.remove(&outer).is_err(),
        "a cgroup with a process can't be removed"
    );
    own.driver.kill(&own.parent).expect("kill");
    for child in &mut children {
        let status = child.wait().expect("reaped");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
    own.driver.remove(&own.parent).expect("remove");
}

#[test]
fn an_out_of_memory_kill_is_told() {
    let own = Own::new("oom");
    let path = own.child("a");
    own.driver.create(&path).expect("create");
    let resources: LinuxResources =
        serde_json::from_str(r#"{"memory":{"limit":8388608,"swap":8388608}}"#).expect("valid");
    own.driver.apply(&path, &resources).expect("apply");
    assert_eq!(own.driver.oom_kills(&path), 0);
    // It waits before it grows, so that it grows where it was put; one process, so that none is left when it is reaped.
    let mut hungry = Command::new("sh")
        .args(["-c", "read go; exec dd if=/dev/zero of=/dev/null bs=67108864 count=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    own.driver.add(&path, pid_of(&hungry)).expect("add");
    drop(hungry.stdin.take());
    hungry.wait().expect("reaped");
    assert!(own.driver.oom_kills(&path) > 0);
}

#[test]
fn containers_see_what_the_host_has() {
    let own = Own::new("mounts");
    let mounts = own.driver.mounts();
    match own.driver.version() {
        "v2" => assert_eq!(mounts.len(), 1),
        _ => assert!(
            mounts
                .iter()
                .any(|mount| mount.options.iter().any(|option| option == "memory"))
        ),
    }
}

/// A hybrid host's v2 side takes cgroups too, if often without controllers: enough to prove how processes get in and out.
#[test]
fn v2_takes_processes_at_birth_and_kills_at_once() {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let mount = hierarchy::parse(&text)
        .into_iter()
        .find(|hierarchy| hierarchy.version == 2)
        .expect("a cgroup2 mount")
        .mount;
    let own = Own {
        driver: Box::new(v2::V2::new(mount, Vec::new())),
        parent: CgroupPath::parse(Path::new(&format!("/minik-test-{}-v2", std::process::id()))).expect("a plain path"),
    };
    let (first, second) = (own.child("a"), own.child("b/c"));
    own.driver.create(&first).expect("create");
    own.driver.create(&second).expect("create");
    assert!(own.driver.entry(&first).expect("entry").born_in.is_some());
    let mut children = [sleeper(), sleeper()];
    own.driver.add(&first, pid_of(&children[0])).expect("add");
    own.driver.add(&second, pid_of(&children[1])).expect("add");
    assert_eq!(own.driver.processes(&own.parent).expect("listed").len(), 2);
    own.driver.kill(&own.parent).expect("kill");
    for child in &mut children {
        let status = child.wait().expect("reaped");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
    own.driver.remove(&own.parent).expect("remove");
    assert!(own.driver.stats(&first).is_err());
}

#[test]
fn a_limit_without_a_controller_is_noted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let driver = v2::V2::new(directory.path().to_owned(), Vec::new());
    let resources: LinuxResources =
        serde_json::from_str(r#"{"memory":{"limit":4096},"pids":{"limit":-1}}"#).expect("valid");
    let path = CgroupPath::parse(Path::new("/a")).expect("a plain path");
    let notes = driver.apply(&path, &resources).expect("nothing is refused");
    assert_eq!(notes, ["memory.max 4096 is not enforced: no memory controller here"]);
}

#[test]
fn v2_says_which_devices_may_be_opened() {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let mount = hierarchy::parse(&text)
        .into_iter()
        .find(|hierarchy| hierarchy.version == 2)
        .expect("a cgroup2 mount")
        .mount;
    let own = Own {
        driver: Box::new(v2::V2::new(mount, Vec::new())),
        parent: CgroupPath::parse(Path::new(&format!("/minik-test-{}-devices", std::process::id())))
            .expect("a plain path"),
    };
    let path = own.child("a");
    own.driver.create(&path).expect("create");
    let resources: LinuxResources = serde_json::from_str(
        r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},
            {"allow":true,"type":"c","major":1,"minor":5,"access":"w"}]}"#,
    )
    .expect("valid");
    assert_eq!(
        own.driver.apply(&path, &resources).expect("apply"),
        Vec::<String>::new()
    );
    let mut child = Command::new("sh")
        .args([
            "-c",
            "read go; true </dev/null || exit 1; true >/dev/zero || exit 2; ! true </dev/zero || exit 3; ! true </dev/full",
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    own.driver.add(&path, pid_of(&child)).expect("add");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("reaped").code(), Some(0));
}
