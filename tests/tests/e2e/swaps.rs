//! Each layer of the node in exchange for the real one: who launches containers, and who runs pods.

use std::path::{Path, PathBuf};

use minik_tests::containerd::Containerd;
use minik_tests::podman::Podman;
use minik_tests::{Run, World, executable, images};
use serde_json::json;
use tempfile::TempDir;

use crate::{BUSYBOX, SERVE, archive, node, pod};

/// Ids of the containers that an OCI runtime knows, asked by its own command.
fn known_to(runtime: &str, world: &World, handler: &str) -> Vec<String> {
    let root = world.folder().join("run/runtime/oci").join(handler);
    let listed = Run::new(runtime)
        .args(["--root".as_ref(), root.as_os_str(), "list".as_ref(), "--quiet".as_ref()])
        .ok();
    listed.lines().map(str::to_owned).collect()
}

fn container_id(world: &World, name: &str) -> String {
    let id = world.value(&format!("pod/{name}"), "{.status.containerStatuses[0].containerID}");
    id.trim_start_matches("minik://").to_owned()
}

#[test]
fn the_runtime_class_chooses_who_launches_a_pod() {
    let world = node();
    for handler in ["runc", "crun", "minik", "nosuch"] {
        let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": handler},
            "handler": handler});
        world.apply(&class.to_string());
    }
    for class in ["runc", "crun", "minik", "nosuch"] {
        world.apply(&pod(class, SERVE, json!({"spec": {"runtimeClassName": class}})));
    }
    for class in ["runc", "crun", "minik"] {
        let name = format!("pod/{class}");
        world.wait(&name, "condition=Ready");
        assert_eq!(world.minikctl(["logs", class]).ok(), "started\n");
        let told = world
            .minikctl(["exec", class, "--", "sh", "-c", "echo $HOSTNAME; exit 7"])
            .output();
        assert_eq!((told.code, told.stdout.trim()), (7, class), "{told}");
    }
    // Seen from outside: each runtime knows the container that it has launched, and no other.
    for runtime in ["runc", "crun"] {
        assert_eq!(known_to(runtime, &world, runtime), [container_id(&world, runtime)]);
    }
    let told = r#"no runtime for "nosuch" is configured; there are "crun", "minik", "runc""#;
    let _ = world.minikctl(["delete", "pod", "runc", "crun", "minik"]).ok();
    for runtime in ["runc", "crun"] {
        assert_eq!(known_to(runtime, &world, runtime), Vec::<String>::new());
    }
    let mut events = world.minikctl(["events", "--for", "pod/nosuch", "--watch"]).start();
    while !events.line().contains(told) {}
}

#[test]
fn a_node_may_launch_all_its_pods_by_another_runtime() {
    let world = World::new().with(["--oci-runtime", "crun"]);
    world.start();
    let _ = world.minikctl(["image", "import"]).args([archive()]).ok();
    let failing = json!({"spec": {"restartPolicy": "Never", "containers": [
        {"resources": {"limits": {"memory": "20Mi"}}}]}});
    world.apply(&pod("greedy", "exec tail /dev/zero", failing));
    let typo = json!({"spec": {"restartPolicy": "Never", "containers": [{"command": ["htppd", "-f", "-v"]}]}});
    world.apply(&pod("typo", "", typo));
    let probed = json!({"spec": {"containers": [{
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}}]}});
    world.apply(&pod("probed", &format!("touch /tmp/ready; {SERVE}"), probed));
    world.wait("pod/probed", "condition=Ready");
    world.wait("pod/greedy", "jsonpath={.status.phase}=Failed");
    let state = "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(world.value("pod/greedy", state), "OOMKilled 137");
    world.wait("pod/typo", "jsonpath={.status.phase}=Failed");
    let message = world.value("pod/typo", "{.status.containerStatuses[0].state.terminated.message}");
    assert!(
        message.contains("OCI runtime crun, create: executable file `htppd` not found in $PATH"),
        "{message}"
    );
    assert_eq!(known_to("crun", &world, "default"), [container_id(&world, "probed")]);
}

/// A pod's life on containerd, by our kubelet.
fn lives_on_containerd(oci_runtime: &Path) {
    let world = World::new();
    let containerd = Containerd::start("docker.io/test/pause:1", oci_runtime);
    for (name, command) in [
        ("docker.io/test/pause:1", json!(["sleep", "1000000"])),
        ("docker.io/test/busybox:1", json!(["sh"])),
    ] {
        containerd.import(&images::busybox(world.folder(), name, &json!({"Cmd": command})));
    }
    let world = world.with(["--runtime-endpoint", &containerd.url()]);
    world.start();
    let shown = world.minikctl(["status"]).ok();
    assert!(!shown.contains("runtime.sock"), "ours isn't started: {shown}");
    let mut events = containerd.ctr(["events"]).start();
    world.apply(&pod("web", SERVE, json!({})));
    world.apply(&pod(
        "job",
        "echo done; exit 3",
        json!({"spec": {"restartPolicy": "Never"}}),
    ));
    world.wait("pod/web", "condition=Ready");
    assert!(
        world
            .value("node", "{.items[0].status.nodeInfo.containerRuntimeVersion}")
            .starts_with("containerd://")
    );
    assert_eq!(world.minikctl(["logs", "web"]).ok(), "started\n");
    let told = world
        .minikctl(["exec", "web", "--", "sh", "-c", "echo $HOSTNAME; exit 7"])
        .output();
    assert_eq!(
        (told.code, told.stdout.trim()),
        (7, "web"),
        "{told}\n{}",
        containerd.log()
    );
    world.wait("pod/job", "jsonpath={.status.phase}=Failed");
    assert_eq!(
        world.value("pod/job", "{.status.containerStatuses[0].state.terminated.exitCode}"),
        "3"
    );
    let id = world.value("pod/web", "{.status.containerStatuses[0].containerID}");
    let tasks = containerd.ctr(["task", "ls", "--quiet"]).ok();
    assert!(tasks.contains(id.trim_start_matches("containerd://")), "{id}: {tasks}");
    let _ = world.minikctl(["delete", "pod", "web", "job"]).ok();
    // Two containers and two sandboxes; the API's objects may be gone before.
    for _ in 0..4 {
        while !events.line().contains("/containers/delete") {}
    }
    assert_eq!(
        containerd.ctr(["container", "ls", "--quiet"]).ok(),
        "",
        "nothing is left"
    );
}

#[test]
fn the_kubelet_runs_pods_by_containerd() {
    lives_on_containerd(Path::new("runc"));
}

/// Our OCI runtime under the name by which its command line is reached; the folder has to outlive its use.
fn minirunc() -> (TempDir, PathBuf) {
    let folder = TempDir::with_prefix("minirunc-").expect("a temporary folder");
    let link = folder.path().join("minirunc");
    std::os::unix::fs::symlink(executable::minikctl(), &link).expect("a link");
    (folder, link)
}

#[test]
fn containerd_launches_by_our_oci_runtime() {
    let (_folder, minirunc) = minirunc();
    lives_on_containerd(&minirunc);
}

#[test]
fn podman_launches_by_our_oci_runtime() {
    executable::set_up();
    let (folder, minirunc) = minirunc();
    let image = format!("docker.io/{BUSYBOX}");
    let podman = Podman::new(&minirunc, &images::busybox(folder.path(), &image, &json!({})));
    let ran = podman
        .run_container(["--rm", &image, "sh", "-c", "echo out; echo $((6 * 7)) >&2; exit 3"])
        .output();
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (3, "out\n", "42\n")
    );
    let typo = podman.run_container(["--rm", &image, "htppd"]).output();
    assert_eq!(typo.code, 127, "as the shell has it: {typo}");
    assert!(typo.stderr.contains("htppd"), "{typo}");
    let told = podman.run_container(["--rm", "--tty", &image, "tty"]).ok();
    assert_eq!(told.trim(), "/dev/pts/0");

    let id = podman
        .run_container(["--detach", "--name", "web", &image, "sh", "-c", SERVE])
        .ok();
    let known = || Run::new(&minirunc).args(["list", "--quiet"]).ok();
    assert!(known().contains(id.trim()), "{id}: {}", known());
    let told = podman
        .run(["exec", "web", "sh", "-c", "cat /proc/1/comm; exit 7"])
        .output();
    assert_eq!((told.code, told.stdout.as_str()), (7, "sh\n"), "{told}");
    let _ = podman.run(["stop", "--time", "20", "web"]).ok();
    let state = podman
        .run(["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "web"])
        .ok();
    assert_eq!(state, "exited 0\n", "it was asked to end and did");
    assert_eq!(podman.run(["logs", "web"]).ok(), "started\n");
    let _ = podman.run(["rm", "web"]).ok();
    assert!(!known().contains(id.trim()), "nothing is left");
}
