//! The node itself: up, down, status, the kubeconfig, and what stands in the way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use minik_tests::World;

#[test]
fn a_second_up_says_that_it_is_up() {
    let world = World::up();
    let before = world.minikctl(["status", "-o", "json"]).ok();
    let again = world.up_command().ok();
    assert!(again.contains("up"), "{again}");
    let pids = |status: &str| {
        let status: serde_json::Value = serde_json::from_str(status).expect("JSON");
        let programs = status["programs"].as_array().expect("a list").clone();
        programs
            .iter()
            .map(|program| program["pid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        pids(&before),
        pids(&world.minikctl(["status", "-o", "json"]).ok()),
        "nothing was started anew"
    );
}

#[test]
fn the_programs_are_seen_under_their_names() {
    let world = World::up();
    let shown = minik_tests::Run::new("ps").args(["-eo", "comm,args"]).ok();
    let ours: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains(&world.folder().display().to_string()))
        .collect();
    for name in ["apiserver", "scheduler", "controllers", "kubelet", "runtime"] {
        assert!(
            ours.iter().any(|line| line.starts_with(name)),
            "{name} is missing: {ours:#?}"
        );
    }
    let status = world.minikctl(["status"]).ok();
    for name in ["apiserver", "scheduler", "controllers", "kubelet", "runtime", "Ready"] {
        assert!(status.contains(name), "{name} is missing:\n{status}");
    }
}

#[test]
fn the_kubeconfig_keeps_what_was_there() {
    let world = World::new();
    let file = world.kubeconfig();
    fs::create_dir_all(file.parent().expect("it lies in .kube")).expect("the folder is made");
    let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters:\n- name: work\n  cluster: {server: 'https://work.example:6443'}\n\
                  contexts:\n- name: work\n  context: {cluster: work, user: me}\nusers:\n- name: me\n  user: {token: abc}\n";
    fs::write(&file, theirs).expect("the kubeconfig is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("the mode is set");
    world.start();
    let merged = fs::read_to_string(&file).expect("it is there");
    assert!(
        merged.contains("https://work.example:6443") && merged.contains("token: abc"),
        "{merged}"
    );
    assert!(merged.contains("current-context: work"), "{merged}");
    assert!(merged.contains(&world.context()), "{merged}");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "the mode is kept");
    let pods = world.minikctl(["get", "nodes", "--context", &world.context()]).ok();
    assert!(pods.contains("Ready"), "{pods}");
    let _ = world.minikctl(["down", "--purge"]).ok();
    let after = fs::read_to_string(&file).expect("it is there");
    assert!(
        after.contains("token: abc") && !after.contains(&world.context()),
        "{after}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder_and_another_is_used() {
    let world = World::up();
    let status: serde_json::Value = serde_json::from_str(&world.minikctl(["status", "-o", "json"]).ok()).expect("JSON");
    let server = status["server"].as_str().expect("where the API is").to_owned();
    let port: u16 = server
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let _ = world.minikctl(["down"]).ok();
    let holder = TcpListener::bind(("127.0.0.1", port)).expect("nobody has it now");
    let output = world.up_command().output();
    assert_eq!(output.code, 0, "{output}\n{}", world.logs());
    let told = format!("{}{}", output.stdout, output.stderr);
    assert!(
        told.contains(&port.to_string()) && told.contains(&std::process::id().to_string()),
        "{told}"
    );
    let nodes = world.minikctl(["get", "nodes"]).ok();
    assert!(nodes.contains("Ready"), "{nodes}");
    drop(holder);
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_not_replaced() {
    let world = World::new();
    let _holder = TcpListener::bind(("127.0.0.1", 6443)).expect("the port is free in a new network namespace");
    let told = world.up_command().args(["--api-port", "6443"]).fails();
    assert!(
        told.contains("6443") && told.contains(&std::process::id().to_string()),
        "{told}"
    );
}

#[test]
fn two_nodes_live_side_by_side() {
    let first = World::up();
    // In the same network namespace, so that they could collide.
    let other = format!("{}b", first.instance());
    let data = first.folder().join("data-b");
    let run = first.folder().join("run-b");
    let up = first
        .minikctl(["up", "--instance", &other, "--data-dir"])
        .args([data.as_os_str(), "--run-dir".as_ref(), run.as_os_str()])
        .output();
    assert_eq!(up.code, 0, "{up}");
    for context in [first.context(), format!("minik-{other}")] {
        assert!(
            first
                .minikctl(["get", "nodes", "--context", &context])
                .ok()
                .contains("Ready")
        );
    }
    let _ = first.minikctl(["down", "--purge", "--instance", &other]).ok();
    assert!(
        first.minikctl(["get", "nodes"]).ok().contains("Ready"),
        "the first did not notice"
    );
}

#[test]
fn the_doctor_finds_this_machine_well_enough() {
    let world = World::new();
    let report = world.minikctl(["doctor", "-o", "json"]).output();
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap_or_else(|_| panic!("{report}"));
    let shown = report.to_string();
    for check in ["cgroup", "overlay", "veth"] {
        assert!(shown.contains(check), "{check} is missing: {shown}");
    }
}
