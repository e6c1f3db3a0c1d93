//! Each layer of the node in exchange for the real one: who launches containers, and who runs pods.

use std::path::Path;

use minik_tests::containerd::Containerd;
use minik_tests::{Run, World, images};
use serde_json::json;

use crate::{SERVE, archive, node, pod};

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
    let described = world.minikctl(["describe", "pod", "nosuch"]).ok();
    assert!(described.contains(told), "{described}");
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
