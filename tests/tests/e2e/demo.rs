//! What README shows first: the demo, and its manifests by hand.

use std::fs;
use std::path::PathBuf;

use minik_tests::{Run, World, executable};

use crate::daily::page;

#[test]
fn the_demo_runs_nginx_and_python_and_shows_them() {
    let world = world();
    let shown = demo(&world).ok();
    for part in [
        "is up",
        "nginx:stable",
        "python:3-slim",
        "pod/nginx created",
        "pod/python created",
        "nginx   Running, Ready at ",
        "python  Running, Ready at ",
        "HTTP/1.1 200 OK  Server: nginx/",
        "Welcome to nginx",
        "tick ",
        "What to try next",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours in a pipe:\n{shown}");
    let ip = world.value("pod/nginx", "{.status.podIP}");
    assert!(page(&format!("{ip}:80")).contains("Welcome to nginx"));

    let again = demo(&world).ok();
    for part in [
        "is up already",
        "nginx:stable is here already",
        "python:3-slim is here already",
        "pod/nginx unchanged",
        "pod/python unchanged",
        "HTTP/1.1 200 OK",
        "What to try next",
    ] {
        assert!(again.contains(part), "{part} is missing:\n{again}");
    }
    // Each of the commands that it proposes is one.
    for line in again.lines().filter_map(|line| line.trim().strip_prefix("minikctl ")) {
        let verb = line
            .split_whitespace()
            .find(|word| !word.starts_with('-') && *word != world.instance());
        let help = world.minikctl([verb.expect("a verb"), "--help"]).output();
        assert_eq!(help.code, 0, "{line}: {help}");
    }
}

#[test]
fn every_manifest_is_applied_by_minikctl_and_by_kubectl() {
    let world = world();
    let _ = demo(&world).ok();
    let kubectl = executable::kubectls().pop().expect("tests/setup.sh installs one");
    for file in manifests() {
        let shown = file.display().to_string();
        for program in ["minikctl", "kubectl"] {
            let run = |verb: &str| {
                let run = if program == "minikctl" {
                    world.minikctl([verb, "-f", &shown])
                } else {
                    world.kubectl(&kubectl, [verb, "-f", &shown])
                };
                run.ok()
            };
            let deleted = run("delete");
            assert!(deleted.contains("deleted"), "{program} {shown}: {deleted}");
            let created = run("apply");
            let (object, _) = created.split_once(' ').expect("an object and what became of it");
            assert_eq!(created, format!("{object} created\n"), "{program} {shown}");
            world.wait(object, "condition=Ready");
            assert_eq!(run("apply"), format!("{object} unchanged\n"), "{program} {shown}");
        }
        // What one program has applied, the other knows for its own.
        let unchanged = world.minikctl(["apply", "-f", &shown]).ok();
        assert!(unchanged.ends_with(" unchanged\n"), "{unchanged}");
    }
}

/// A world of a machine on which the stand-ins are built: inside of it there is no way to the distribution's mirror.
fn world() -> World {
    executable::set_up();
    let _ = Run::bounded(600, executable::minikctl())
        .args(["demo", "--prepare"])
        .ok();
    World::new()
}

fn demo(world: &World) -> Run {
    let run = world.folder().join("run");
    world
        .minikctl(["demo", "--data-dir"])
        .args([world.data().as_os_str(), "--run-dir".as_ref(), run.as_os_str()])
}

fn manifests() -> Vec<PathBuf> {
    let entries = fs::read_dir(executable::repository().join("manifests")).expect("the repository has manifests");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files
}
