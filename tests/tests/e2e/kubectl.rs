//! The real kubectls, oldest to newest, do their daily verbs on our API.

use std::fs;
use std::path::Path;

use minik_tests::{World, executable};
use serde_json::json;

use crate::daily::page;
use crate::{SERVE, node, pod};

#[test]
fn every_kubectl_here_does_its_daily_verbs() {
    let kubectls = executable::kubectls();
    assert!(
        !kubectls.is_empty(),
        "no kubectl on PATH: tests/setup.sh installs the distribution's"
    );
    let world = node();
    for (number, kubectl) in kubectls.iter().enumerate() {
        daily(
            &world,
            kubectl,
            &format!("k{number}"),
            18100 + u16::try_from(number).expect("few kubectls"),
        );
    }
    let newest = &kubectls[kubectls.len() - 1];
    for (name, kubectl) in [("oldest", &kubectls[0]), ("newest", newest)] {
        copied(&world, kubectl, name);
    }
}

fn daily(world: &World, kubectl: &Path, name: &str, port: u16) {
    let shown = kubectl.display();
    let web = "echo serving; exec httpd -f -p 80 -h /var/www";
    let manifest = pod(name, web, json!({}));
    let applied = world.kubectl(kubectl, ["apply", "-f", "-"]).stdin(&manifest).ok();
    assert_eq!(applied, format!("pod/{name} created\n"), "{shown}");
    let _ = world
        .kubectl(
            kubectl,
            ["wait", &format!("pod/{name}"), "--for=condition=Ready", "--timeout=30s"],
        )
        .ok();
    let unchanged = world.kubectl(kubectl, ["apply", "-f", "-"]).stdin(&manifest).ok();
    assert_eq!(unchanged, format!("pod/{name} unchanged\n"), "{shown}");
    let labelled = manifest.replace(r#""labels":{"#, r#""labels":{"more":"yes","#);
    let configured = world.kubectl(kubectl, ["apply", "-f", "-"]).stdin(&labelled).ok();
    assert_eq!(configured, format!("pod/{name} configured\n"), "{shown}");

    let row = world
        .kubectl(kubectl, ["get", "pods", "-o", "wide", "--no-headers", "-l", "more=yes"])
        .ok();
    assert!(
        row.starts_with(name) && row.contains("1/1") && row.contains("Running"),
        "{shown}: {row}"
    );
    let described = world.kubectl(kubectl, ["describe", "pod", name]).ok();
    assert!(
        described.contains("Successfully assigned") && described.contains("Started"),
        "{shown}: {described}"
    );
    assert_eq!(world.kubectl(kubectl, ["logs", name]).ok(), "serving\n", "{shown}");
    let echoed = world
        .kubectl(kubectl, ["exec", "-i", name, "--", "cat"])
        .stdin("through and back\n")
        .ok();
    assert_eq!(echoed, "through and back\n", "{shown}");
    let failed = world
        .kubectl(kubectl, ["exec", name, "--", "sh", "-c", "exit 7"])
        .output();
    assert_eq!(failed.code, 7, "{shown}: {failed}");
    forward(world, kubectl, name, port);
    watched(world, kubectl, name);
    let nodes = world.kubectl(kubectl, ["get", "nodes", "--no-headers"]).ok();
    assert!(nodes.contains(" Ready "), "{shown}: {nodes}");
    let unknown = world
        .kubectl(kubectl, ["apply", "-f", "-"])
        .stdin(&manifest.replace("containers", "contaners"))
        .fails();
    assert!(
        unknown.contains(r#"unknown field "spec.contaners""#),
        "{shown}: {unknown}"
    );
}

fn forward(world: &World, kubectl: &Path, name: &str, port: u16) {
    let mut forward = world
        .kubectl(kubectl, ["port-forward", &format!("pod/{name}"), &format!("{port}:80")])
        .start();
    assert_eq!(forward.line(), format!("Forwarding from 127.0.0.1:{port} -> 80"));
    for _ in 0..2 {
        let answer = page(&format!("127.0.0.1:{port}"));
        assert!(
            answer.ends_with("hello from a pod\n"),
            "{}: {answer}",
            kubectl.display()
        );
    }
}

/// `get -w` shows the deletion as it happens.
fn watched(world: &World, kubectl: &Path, name: &str) {
    let arguments = ["get", "pod", name, "-w", "--no-headers", "--output-watch-events"];
    let mut watch = world.kubectl(kubectl, arguments).start();
    let first = watch.line();
    assert!(first.starts_with("ADDED"), "{first}");
    let _ = world.kubectl(kubectl, ["delete", "pod", name, "--wait=true"]).ok();
    while !watch.line().starts_with("DELETED") {}
}

/// A file goes into a container and comes back, and a folder comes.
fn copied(world: &World, kubectl: &Path, name: &str) {
    let shown = kubectl.display();
    world.apply(&pod(name, SERVE, json!({})));
    world.wait(&format!("pod/{name}"), "condition=Ready");
    let folder = world.folder().join(name);
    fs::create_dir(&folder).expect("a folder in the world's");
    let text = "a line\n".repeat(20_000);
    fs::write(folder.join("sent"), &text).expect("it is written");
    let copy = |from: String, to: String| world.kubectl(kubectl, ["cp", &from, &to]).ok();
    let local = |file: &str| folder.join(file).display().to_string();
    let _ = copy(local("sent"), format!("{name}:/tmp/sent"));
    let _ = copy(format!("{name}:/tmp/sent"), local("back"));
    let back = fs::read_to_string(folder.join("back")).expect("it has come back");
    assert!(back == text, "{shown}: {} bytes", back.len());
    let _ = copy(format!("{name}:/var/www"), local("www"));
    assert!(folder.join("www/index.html").exists(), "{shown}");
    let _ = world.kubectl(kubectl, ["delete", "pod", name]).ok();
}
