//! What README shows as daily use, with minikctl.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::{SERVE, node, pod};

/// A web server that says on its log when it is up.
const WEB: &str = "echo serving; exec httpd -f -p 80 -h /var/www";

#[test]
fn a_pod_is_applied_looked_at_and_deleted() {
    let world = node();
    let manifest = pod(
        "web",
        WEB,
        json!({"spec": {"containers": [{"ports": [{"containerPort": 80}]}]}}),
    );
    let applied = world.minikctl(["apply", "-f", "-"]).stdin(&manifest).ok();
    assert_eq!(applied, "pod/web created\n");
    world.wait("pod/web", "condition=Ready");
    assert_eq!(
        world.minikctl(["apply", "-f", "-"]).stdin(&manifest).ok(),
        "pod/web unchanged\n"
    );

    let wide = world.minikctl(["get", "pods", "-o", "wide"]).ok();
    let lines: Vec<&str> = wide.lines().collect();
    let head: Vec<&str> = lines[0]
        .split("  ")
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    let columns = [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED NODE",
        "READINESS GATES",
    ];
    assert_eq!(head, columns, "{wide}");
    assert!(
        lines[1].starts_with("web") && lines[1].contains("1/1") && lines[1].contains("Running"),
        "{wide}"
    );

    let described = world.minikctl(["describe", "pod", "web"]).ok();
    for part in [
        "Name:",
        "Containers:",
        "Conditions:",
        "Events:",
        "Successfully assigned default/web",
        "Started",
    ] {
        assert!(described.contains(part), "{part} is missing:\n{described}");
    }
    assert_eq!(world.minikctl(["logs", "web"]).ok(), "serving\n");

    let deleted = world.minikctl(["delete", "-f", "-"]).stdin(&manifest).ok();
    assert!(deleted.starts_with("pod \"web\" deleted"), "{deleted}");
    let missing = world.minikctl(["get", "pod", "web"]).fails();
    assert!(
        missing.contains("Error from server (NotFound): pods \"web\" not found"),
        "{missing}"
    );
}

#[test]
fn logs_are_followed_as_they_come() {
    let world = node();
    world.apply(&pod(
        "talk",
        "read line < /shared/go; echo heard; sleep 1000",
        json!({"spec": {
        "containers": [{"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
        "initContainers": [{"name": "pipe", "image": crate::BUSYBOX, "imagePullPolicy": "Never",
            "command": ["mkfifo", "/shared/go"], "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
        "volumes": [{"name": "shared", "emptyDir": {}}]}}),
    ));
    world.wait("pod/talk", "jsonpath={.status.phase}=Running");
    let mut follow = world.minikctl(["logs", "-f", "talk"]).start();
    let _ = world
        .minikctl(["exec", "talk", "--", "sh", "-c", "echo now > /shared/go"])
        .ok();
    assert_eq!(follow.line(), "heard");
}

#[test]
fn commands_run_in_a_container_and_their_exit_codes_come_back() {
    let world = node();
    world.apply(&pod("box", SERVE, json!({})));
    world.wait("pod/box", "condition=Ready");
    assert_eq!(world.minikctl(["exec", "box", "--", "hostname"]).ok(), "box\n");
    let output = world
        .minikctl(["exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
        .output();
    assert_eq!((output.code, output.stdout.as_str()), (3, "out\n"), "{output}");
    assert!(output.stderr.starts_with("err\n"), "{output}");
    let echoed = world
        .minikctl(["exec", "-i", "box", "--", "cat"])
        .stdin("all of it\n")
        .ok();
    assert_eq!(echoed, "all of it\n");
    let missing = world.minikctl(["exec", "box", "--", "nosuchprogram"]).output();
    assert_ne!(missing.code, 0);
    assert!(missing.stderr.contains("nosuchprogram"), "{missing}");
}

#[test]
fn a_terminal_is_given_to_those_who_ask_for_one() {
    let world = node();
    world.apply(&pod("box", SERVE, json!({})));
    world.wait("pod/box", "condition=Ready");
    // `script` gives minikctl a terminal; what the container's shell sees is its own.
    let minikctl = minik_tests::executable::minikctl().display();
    let line = format!("{minikctl} exec -it box -- sh -c 'tty; stty size'");
    let script = minik_tests::Run::new("script").args(["-qec", &format!("stty rows 33 cols 99; {line}"), "/dev/null"]);
    let shown = world.in_world(script).ok();
    assert!(shown.contains("/dev/pts/") && shown.contains("33 99"), "{shown}");
}

#[test]
fn the_terminal_is_given_back_however_the_session_ends() {
    let world = node();
    world.apply(&pod("box", SERVE, json!({})));
    world.wait("pod/box", "condition=Ready");
    let minikctl = minik_tests::executable::minikctl().display();
    let said = world.folder().join("said");
    let said = said.display();
    // The process says that it is there, so the terminal is raw by then.
    let while_it_runs = |deed: &str| {
        format!(
            "rm -f {said}; mkfifo {said}; {minikctl} exec -it box -- sh -c 'echo here; sleep 1000' < /dev/tty > {said} & \
             pid=$!; read -r line < {said}; {deed}; wait $pid"
        )
    };
    for (how, line, code) in [
        (
            "the command ends",
            format!("{minikctl} exec -it box -- sh -c 'exit 3'"),
            3,
        ),
        (
            "the command can't be run",
            format!("{minikctl} exec -it box -- nosuchprogram"),
            1,
        ),
        ("minikctl is interrupted", while_it_runs("kill -INT $pid"), 130),
        ("minikctl is ended", while_it_runs("kill -TERM $pid"), 143),
        ("minikctl is told to quit", while_it_runs("kill -QUIT $pid"), 131),
        ("the user hangs up", while_it_runs("kill -HUP $pid"), 129),
        (
            "the pod goes away",
            while_it_runs(&format!("{minikctl} delete pod box > /dev/null")),
            137,
        ),
    ] {
        let line =
            format!("before=$(stty -g); {line}; code=$?; [ \"$before\" = \"$(stty -g)\" ] && echo given back, $code");
        let script = minik_tests::Run::new("script").args(["-qec", &line, "/dev/null"]);
        let shown = world.in_world(script).output();
        assert!(
            shown.stdout.contains(&format!("given back, {code}")),
            "when {how}: {shown}"
        );
    }
}

#[test]
fn a_port_is_forwarded() {
    let world = node();
    world.apply(&pod("web", WEB, json!({})));
    world.wait("pod/web", "condition=Ready");
    let mut forward = world.minikctl(["port-forward", "pod/web", "18080:80"]).start();
    assert_eq!(forward.line(), "Forwarding from 127.0.0.1:18080 -> 80");
    for _ in 0..3 {
        assert!(page("127.0.0.1:18080").ends_with("hello from a pod\n"));
    }
}

#[test]
fn a_pod_is_reached_by_its_address_and_by_its_host_port() {
    let world = node();
    let port = json!({"containerPort": 80, "hostPort": 18081});
    world.apply(&pod("web", WEB, json!({"spec": {"containers": [{"ports": [port]}]}})));
    world.wait("pod/web", "condition=Ready");
    let ip = world.value("pod/web", "{.status.podIP}");
    assert!(page(&format!("{ip}:80")).ends_with("hello from a pod\n"));
    assert!(page("127.0.0.1:18081").ends_with("hello from a pod\n"));
}

pub(crate) fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer comes");
    answer
}
