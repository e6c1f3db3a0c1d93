//! minikctl's verbs against a node: what they do to pods, files, ports and nodes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use minik_tests::World;
use serde_json::json;

use crate::daily::page;
use crate::{BUSYBOX, SERVE, node, pod};

#[test]
fn verbs_reach_into_pods_and_nodes() {
    let world = node();
    let two = json!({"spec": {"containers": [{}, {"name": "side", "image": BUSYBOX, "imagePullPolicy": "Never",
        "command": ["sh", "-c", format!("echo aside; {SERVE}")]}]}});
    world.apply(&pod(
        "two",
        &format!("echo serving; httpd -p 80 -h /var/www; {SERVE}"),
        two,
    ));
    world.wait("pod/two", "condition=Ready");
    logs_of_several(&world);
    commands_and_their_codes(&world);
    files_both_ways(&world);
    ports(&world);
    pods_of_a_word(&world);
    who_may_come(&world);
}

fn logs_of_several(world: &World) {
    // What is printed last has been printed.
    for container in ["main", "side"] {
        let mut log = world.minikctl(["logs", "-f", "two", container]).start();
        while log.line() != "started" {}
    }
    let all = world.minikctl(["logs", "two", "--all-containers", "--prefix"]).ok();
    assert!(
        all.contains("[pod/two/main] serving\n") && all.contains("[pod/two/side] aside\n"),
        "{all}"
    );
    let selected = world.minikctl(["logs", "-l", "app=two", "-c", "side", "--tail=1"]).ok();
    assert_eq!(selected, "started\n");
    let refused = world
        .minikctl([
            "logs",
            "-f",
            "-l",
            "app=two",
            "--all-containers",
            "--max-log-requests=1",
        ])
        .fails();
    assert!(
        refused.contains("you are attempting to follow 2 log streams"),
        "{refused}"
    );
}

fn commands_and_their_codes(world: &World) {
    let failed = world
        .minikctl(["exec", "two", "-c", "side", "--", "sh", "-c", "exit 3"])
        .output();
    assert_eq!(failed.code, 3, "{failed}");
    let echoed = world
        .minikctl(["exec", "-i", "two", "--", "cat"])
        .stdin("through and back\n")
        .ok();
    assert_eq!(echoed, "through and back\n");
    let shown = world.minikctl(["exec", "two", "-v=6", "--", "true"]).output();
    assert!(shown.stderr.contains("101 Switching Protocols"), "{shown}");
}

/// A folder goes there and comes back as it was, but for its symbolic link, which is never followed nor made.
fn files_both_ways(world: &World) {
    let here = world.folder().join("files");
    fs::create_dir_all(here.join("below")).expect("a folder");
    fs::write(here.join("below/large"), vec![7_u8; 3 << 20]).expect("a file");
    fs::write(here.join("small"), "small").expect("a file");
    std::os::unix::fs::symlink("/etc/passwd", here.join("link")).expect("a link");
    let there = "two:/tmp/files";
    let from = here.to_string_lossy().into_owned();
    let _ = world.minikctl(["cp", &from, there, "-c", "main"]).ok();
    let seen = world.minikctl([
        "exec",
        "two",
        "-c",
        "main",
        "--",
        "sh",
        "-c",
        "cat /tmp/files/small; readlink /tmp/files/link",
    ]);
    assert_eq!(seen.ok(), "small/etc/passwd\n");
    let back = world.folder().join("back");
    let to = back.to_string_lossy().into_owned();
    let copied = world.minikctl(["cp", there, &to, "-c", "main"]).output();
    assert_eq!(copied.code, 0, "{copied}");
    assert!(copied.stderr.contains("skipping symlink"), "{copied}");
    assert_eq!(
        fs::read(back.join("below/large")).expect("it came back"),
        vec![7_u8; 3 << 20]
    );
    assert!(
        back.join("link").symlink_metadata().is_err(),
        "a container's link is not made here"
    );
    let missing = world.minikctl(["cp", "two:/nowhere", &to, "-c", "main"]).output();
    assert_eq!(missing.code, 1, "{missing}");
}

fn ports(world: &World) {
    let mut forward = world.minikctl(["port-forward", "two", "18201:80", "18202:80"]).start();
    assert_eq!(forward.line(), "Forwarding from 127.0.0.1:18201 -> 80");
    while !forward.line().contains("18202") {}
    for port in ["127.0.0.1:18201", "127.0.0.1:18202"] {
        assert!(page(port).ends_with("hello from a pod\n"));
    }
    let mut proxy = world.minikctl(["proxy", "--port=18203"]).start();
    assert_eq!(proxy.line(), "Starting to serve on 127.0.0.1:18203");
    let asked = |host: &str| {
        let mut stream = TcpStream::connect("127.0.0.1:18203").expect("the proxy listens");
        write!(
            stream,
            "GET /version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer comes");
        answer
    };
    let (here, elsewhere) = (asked("localhost:18203"), asked("evil.example:18203"));
    assert!(here.contains("gitVersion"), "{here}");
    assert!(elsewhere.starts_with("HTTP/1.1 403 "), "{elsewhere}");
}

/// `run` with its input and its exit code, and nothing left of it.
fn pods_of_a_word(world: &World) {
    let image = format!("--image={BUSYBOX}");
    let common = ["--image-pull-policy=Never", "--restart=Never", "--rm", "-i", "--"];
    let run = world.minikctl(["run", "once", &image]).args(common);
    let output = run.args(["sh", "-c", "cat; exit 5"]).stdin("piped\n").output();
    assert_eq!(output.code, 5, "{output}");
    assert!(
        output.stdout.contains("piped\n") && output.stdout.contains("pod \"once\" deleted"),
        "{output}"
    );
    let on_node = world.value("nodes", "{.items[0].metadata.name}");
    let seen = world
        .minikctl([
            "debug",
            &format!("node/{on_node}"),
            &image,
            "--image-pull-policy=Never",
            "-i",
            "--",
            "sh",
        ])
        .stdin("ls -d /host/etc; exit\n")
        .output();
    assert!(seen.stdout.contains("/host/etc"), "{seen}");
}

/// A cordoned and a tainted node take no pods; what is told is told as kubectl tells it.
fn who_may_come(world: &World) {
    let name = world.value("nodes", "{.items[0].metadata.name}");
    let told = |arguments: &[&str]| world.minikctl([]).args(arguments).ok();
    assert_eq!(told(&["cordon", &name]), format!("node/{name} cordoned\n"));
    assert_eq!(told(&["cordon", &name]), format!("node/{name} already cordoned\n"));
    assert_eq!(told(&["uncordon", &name]), format!("node/{name} uncordoned\n"));
    let taint = ["taint", "nodes", &name, "dedicated=db:NoSchedule"];
    assert_eq!(told(&taint), format!("node/{name} tainted\n"));
    let taint = ["taint", "nodes", &name, "dedicated-"];
    assert_eq!(told(&taint), format!("node/{name} untainted\n"));
    let refused = world.minikctl(["drain", &name]).fails();
    assert!(
        refused.contains("cannot delete Pods that declare no controller"),
        "{refused}"
    );
    let drained = world.minikctl(["drain", &name, "--force", "--timeout=55s"]).output();
    assert_eq!(drained.code, 0, "{drained}");
    assert!(drained.stdout.contains("pod/two evicted\n"), "{drained}");
    assert!(drained.stdout.ends_with(&format!("node/{name} drained\n")), "{drained}");
    let gone = world.minikctl(["get", "pod", "two"]).fails();
    assert!(gone.contains("NotFound"), "{gone}");
}
