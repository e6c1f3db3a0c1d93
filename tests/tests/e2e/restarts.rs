//! Any program may die at any time: what runs goes on running, and nothing acknowledged is lost.

use std::fs;

use minik_tests::{Run, World};
use serde_json::json;

use crate::{SERVE, node, pod};

/// The pid of one of the node's programs.
fn program(world: &World, name: &str) -> u32 {
    let status = world.minikctl(["status", "-o", "json"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let programs = status["programs"].as_array().expect("a list of programs").clone();
    let found = programs
        .iter()
        .find(|program| program["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {status}"));
    found["pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())
        .expect("it runs")
}

fn kill(pid: u32) {
    let _ = Run::new("kill").args(["-9", &pid.to_string()]).ok();
}

fn started(world: &World, pod: &str) -> String {
    world.value(
        &format!("pod/{pod}"),
        "{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}",
    )
}

#[test]
fn pods_outlive_every_program_of_the_node() {
    let world = node();
    world.apply(&pod("steady", SERVE, json!({})));
    world.wait("pod/steady", "condition=Ready");
    let before = started(&world, "steady");
    for (number, name) in ["apiserver", "scheduler", "controllers", "kubelet", "runtime"]
        .into_iter()
        .enumerate()
    {
        let pid = program(&world, name);
        kill(pid);
        // Each has to come back for a new pod to run, but for the controllers: a namespace goes through them.
        let fresh = format!("after-{number}");
        until_applied(&world, &pod(&fresh, SERVE, json!({})));
        world.wait(&format!("pod/{fresh}"), "condition=Ready");
        let _ = world.minikctl(["create", "namespace", &fresh]).ok();
        let _ = world.minikctl(["delete", "namespace", &fresh]).ok();
        assert_ne!(program(&world, name), pid, "{name} was started anew");
        assert_eq!(
            started(&world, "steady"),
            before,
            "the pod did not notice that {name} died"
        );
        assert_eq!(world.minikctl(["exec", "steady", "--", "echo", "here"]).ok(), "here\n");
    }
    let _ = world.minikctl(["delete", "pod", "steady"]).ok();
}

/// While the API server comes back, a client is refused; users try again, and so does this.
fn until_applied(world: &World, manifest: &str) {
    for _ in 0..200 {
        if world.minikctl(["apply", "-f", "-"]).stdin(manifest).output().code == 0 {
            return;
        }
    }
    world.apply(manifest);
}

#[test]
fn down_keeps_the_data_and_up_starts_the_pods_again() {
    let world = node();
    world.apply(&pod("kept", SERVE, json!({})));
    world.wait("pod/kept", "condition=Ready");
    let uid = world.value("pod/kept", "{.metadata.uid}");
    let before = world.value("pod/kept", "{.status.containerStatuses[0].containerID}");
    let _ = world.minikctl(["down"]).ok();
    assert!(!world.folder().join("run/runtime.sock").exists(), "no program is left");
    world.start();
    // The status from before stands until the kubelet has looked: only another container is the pod's new start.
    let now = "jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].ready}{\"\\n\"}";
    let mut watch = world.minikctl(["get", "pod", "kept", "-w", "-o", now]).start();
    loop {
        let line = watch.line();
        if !line.starts_with(&before) && line.ends_with(" true") {
            break;
        }
    }
    assert_eq!(world.value("pod/kept", "{.metadata.uid}"), uid);
    assert_eq!(world.minikctl(["exec", "kept", "--", "echo", "again"]).ok(), "again\n");
}

#[test]
fn the_store_is_private_to_the_api_server() {
    let world = node();
    let server = program(&world, "apiserver");
    let store = world.data().join("apiserver");
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let files = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let open = files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|path| path.starts_with(&store));
        assert!(!open || pid == server, "process {pid} has a file of the store open");
    }
}
