//! From create to delete, and what each verb says of a container that isn't where it should be.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bundle::Bundle;

#[test]
fn a_container_is_made_started_killed_and_deleted() {
    let bundle = Bundle::new(&["sleep", "100"]);
    assert_eq!(
        bundle.on("state", &[]).failed().split("msg=").nth(1),
        Some("\"container does not exist\"")
    );
    let pid_file = bundle.path("pid");
    let output = fs::File::create(bundle.path("output")).unwrap();
    let line = [
        "create",
        "--bundle",
        ".",
        "--pid-file",
        pid_file.to_str().unwrap(),
        &bundle.id,
    ];
    assert!(bundle.command(&line).stdout(output).status().unwrap().success());
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(
        state["bundle"],
        fs::canonicalize(bundle.directory.path()).unwrap().to_str().unwrap()
    );
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), state["pid"].to_string());
    let command = format!("/proc/{}/cmdline", state["pid"]);
    assert!(!fs::read_to_string(&command).unwrap().starts_with("sleep"), "not yet");
    assert!(bundle.make().failed().contains("already exists"));

    bundle.on("start", &[]).ok();
    assert_eq!(fs::read_to_string(&command).unwrap(), "sleep\x00100\0");
    assert_eq!(bundle.status(), "running");
    assert!(bundle.on("start", &[]).failed().contains("already running"));
    assert!(bundle.on("delete", &[]).failed().contains("not stopped: running"));

    let ended = bundle.command(&["kill", &bundle.id, "KILL"]).status().unwrap();
    assert!(ended.success());
    bundle.wait_for_end();
    assert_eq!(bundle.status(), "stopped");
    let killed = bundle.command(&["kill", &bundle.id]).output().unwrap();
    assert!(String::from_utf8_lossy(&killed.stderr).contains("container not running"));
    assert!(bundle.on("start", &[]).failed().contains("has stopped"));
    assert!(
        bundle
            .exec(&["true"])
            .failed()
            .contains("cannot exec in a stopped container")
    );
    bundle.on("delete", &[]).ok();
    assert!(bundle.on("delete", &[]).failed().contains("does not exist"));
    bundle.on("delete", &["-f"]).ok();
    assert!(!bundle.path("state").join(&bundle.id).exists());
}

#[test]
fn run_gives_the_containers_streams_and_code_and_leaves_nothing() {
    let bundle = Bundle::script("echo out; echo err >&2; cat; exit 7");
    let ended = bundle.run();
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (7, "out", "err")
    );
    assert!(bundle.on("state", &[]).failed().contains("does not exist"));
    let bundle = Bundle::script("kill -9 $$; exit 1").with(|config| {
        // As process 1 of a pid namespace it would be safe from its own signals.
        config["linux"]["namespaces"] = serde_json::json!([{"type": "mount"}, {"type": "network"}]);
    });
    assert_eq!(bundle.run().code, 128 + 9);
}

#[test]
fn signals_to_run_are_the_containers() {
    let bundle = Bundle::script("trap 'echo got; exit 4' TERM; echo ready; while true; do sleep 0.1; done");
    let mut command = bundle.command(&["run", &bundle.id]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "got");
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(4), None));
}

#[test]
fn a_detached_run_is_a_running_container() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut command = bundle.command(&["run", "-d", &bundle.id]);
    let status = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(bundle.status(), "running");
    let list = bundle.command(&["list", "-f", "json"]).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(
        (&list[0]["id"], &list[0]["owner"]),
        (&bundle.id.clone().into(), &"root".into())
    );
    let quiet = bundle.command(&["list", "--quiet"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stdout).trim(), bundle.id);
    let table = bundle.command(&["list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&table.stdout).starts_with("ID          PID "));
}

#[test]
fn processes_are_listed_frozen_and_limited() {
    let bundle = Bundle::script("sleep 100 & sleep 100").with(|config| {
        config["linux"]["resources"]["pids"]["limit"] = 50.into();
    });
    bundle.start();
    assert_eq!(bundle.control(&["pids.max"]), "50");
    let pids: Vec<i32> = serde_json::from_str(&bundle.on("ps", &["-f", "json"]).ok()).unwrap();
    assert!(pids.contains(&bundle.pid()), "{pids:?}");
    bundle.on("pause", &[]).ok();
    assert_eq!(bundle.status(), "paused");
    assert!(
        bundle
            .on("pause", &[])
            .failed()
            .contains("cannot pause a container that is paused")
    );
    assert!(
        bundle
            .exec(&["true"])
            .failed()
            .contains("cannot exec in a paused container")
    );
    bundle.on("resume", &[]).ok();
    assert_eq!(bundle.status(), "running");
    bundle.on("update", &["--pids-limit", "60"]).ok();
    assert_eq!(bundle.control(&["pids.max"]), "60");
    fs::write(bundle.path("limits.json"), r#"{"pids":{"limit":70}}"#).unwrap();
    bundle
        .on("update", &["-r", bundle.path("limits.json").to_str().unwrap()])
        .ok();
    assert_eq!(bundle.control(&["pids.max"]), "70");
    let stats: serde_json::Value = serde_json::from_str(&bundle.on("events", &["--stats"]).ok()).unwrap();
    assert_eq!(
        (&stats["type"], &stats["id"]),
        (&"stats".into(), &bundle.id.clone().into())
    );
    assert!(stats["data"]["pids"]["current"].as_u64().unwrap() >= 1, "{stats}");
    // Killed while it is frozen, it ends all the same.
    bundle.on("pause", &[]).ok();
    bundle.on("delete", &["--force"]).ok();
    assert!(bundle.on("state", &[]).failed().contains("does not exist"));
}

#[test]
fn all_processes_get_a_signal_when_it_is_for_all() {
    let bundle = Bundle::script("sleep 1000").with(|config| {
        config["linux"]["namespaces"] = serde_json::json!([{"type": "mount"}, {"type": "network"}]);
    });
    bundle.start();
    let other = bundle.command(&["exec", "-d", &bundle.id, "sleep", "1000"]);
    let mut other = other;
    assert!(
        other
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    bundle.command(&["kill", "--all", &bundle.id, "9"]).status().unwrap();
    bundle.wait_for_end();
    // The same with the option at the end, of a container that has ended.
    assert!(
        bundle
            .command(&["kill", &bundle.id, "KILL", "--all"])
            .status()
            .unwrap()
            .success()
    );
    bundle.on("delete", &[]).ok();
}

#[test]
fn errors_go_to_the_log_as_json_and_to_the_user() {
    let bundle = Bundle::new(&["true"]);
    let log = bundle.path("log.json");
    let line = [
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "state",
        "nobody",
    ];
    let output = bundle.command(&line).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "container does not exist\n");
    let line: serde_json::Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(
        (&line["level"], &line["msg"]),
        (&"error".into(), &"container does not exist".into())
    );
    for (line, wanted) in [
        (vec!["create"], "requires exactly 1 argument"),
        (vec!["create", "a/b"], "invalid container ID"),
        (vec!["nope"], "no such command: nope"),
        (vec!["--nope"], "not defined: --nope"),
        (vec!["--systemd-cgroup", "list"], "no systemd bus"),
        (vec!["checkpoint", "x"], "refused"),
    ] {
        let output = bundle.command(&line).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && text.contains(wanted),
            "{line:?}: {text}"
        );
    }
}

#[test]
fn what_was_made_of_a_container_that_fails_is_gone() {
    let bundle = Bundle::new(&["nonexistent"]);
    let error = bundle.make().failed();
    assert!(error.contains("executable file not found in $PATH"), "{error}");
    assert!(!bundle.path("state").join(&bundle.id).exists());
    assert_eq!(bundle.cgroups(), Vec::<std::path::PathBuf>::new());
    let bundle = Bundle::new(&["true"]).with(|config| {
        config["mounts"].as_array_mut().unwrap().push(serde_json::json!(
            {"destination": "/x", "type": "bind", "source": "/nonexistent/source", "options": ["bind"]}
        ));
    });
    let error = bundle.run().failed();
    assert!(
        error.contains("open mount source") && error.contains("/nonexistent/source"),
        "{error}"
    );
    assert!(!bundle.path("state").join(&bundle.id).exists());
}

#[test]
fn a_spec_to_begin_with_runs() {
    let bundle = Bundle::new(&["true"]);
    let directory = bundle.path("other");
    fs::create_dir(&directory).unwrap();
    let line = ["spec", "-b", directory.to_str().unwrap()];
    assert!(bundle.command(&line).status().unwrap().success());
    let text = fs::read(directory.join("config.json")).unwrap();
    let again = bundle.command(&line).output().unwrap();
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("File exists"),
        "{again:?}"
    );
    let cgroup = bundle.cgroup.clone();
    let bundle = bundle.with(|config| {
        *config = serde_json::from_slice(&text).unwrap();
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = serde_json::json!(["/bin/hostname"]);
        config["linux"]["cgroupsPath"] = cgroup.into();
    });
    assert_eq!(bundle.run().ok(), "minirunc");
    let features = bundle.command(&["features"]).output().unwrap();
    let features: serde_json::Value = serde_json::from_slice(&features.stdout).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
}
