//! All six hooks: when, where, and with what they are told.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::Bundle;

/// A hook that appends its name, the status it was told and its mount namespace's and root's identity to a file.
fn hook(name: &str, log: &str) -> Value {
    let script = format!(
        "read state; case \"$state\" in *'\"status\":\"'*) status=${{state#*\\\"status\\\":\\\"}}; status=${{status%%\\\"*}};; esac; \
         echo {name} $status $(/bin/busybox readlink /proc/self/ns/mnt) >> {log}"
    );
    json!({"path": "/bin/busybox", "args": ["sh", "-c", script]})
}

#[test]
fn hooks_run_in_their_order_and_places() {
    let bundle = Bundle::script("echo command $(readlink /proc/self/ns/mnt) >> /out/log");
    let out = bundle.path("out");
    fs::create_dir(&out).unwrap();
    let log = out.join("log");
    let log = log.to_str().unwrap();
    let source = out.to_str().unwrap().to_owned();
    let bundle = bundle.with(|config| {
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": "/out", "type": "bind", "source": source, "options": ["bind"]}));
        config["hooks"] = json!({
            "prestart": [hook("prestart", log)], "createRuntime": [hook("createRuntime", log)],
            "createContainer": [hook("createContainer", log)], "startContainer": [hook("startContainer", "/out/log")],
            "poststart": [hook("poststart", log)], "poststop": [hook("poststop", log)]
        });
    });
    bundle.make().ok();
    let made = fs::read_to_string(log).unwrap();
    assert_eq!(made.lines().count(), 3, "{made}");
    bundle.on("start", &[]).ok();
    bundle.wait_for_end();
    bundle.on("delete", &[]).ok();
    let text = fs::read_to_string(log).unwrap();
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let words: Vec<&str> = line.unwrap_or_else(|| panic!("{name} in {text}")).split(' ').collect();
        (words[1].to_owned(), words.last().unwrap().to_string())
    };
    let own = fs::read_link("/proc/self/ns/mnt").unwrap().to_str().unwrap().to_owned();
    let inside = line("command").1;
    assert_ne!(inside, own);
    for (name, status, namespace) in [
        ("prestart", "creating", &own),
        ("createRuntime", "creating", &own),
        ("createContainer", "creating", &inside),
        ("startContainer", "created", &inside),
        ("poststart", "running", &own),
        ("poststop", "stopped", &own),
    ] {
        assert_eq!(line(name), (status.to_owned(), namespace.clone()), "{name}");
    }
    let order: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        &order[..4],
        ["prestart", "createRuntime", "createContainer", "startContainer"]
    );
    assert_eq!(order.last(), Some(&"poststop"));
}

#[test]
fn a_hook_that_fails_fails_its_moment() {
    let failing = || json!([{"path": "/bin/busybox", "args": ["sh", "-c", "echo no bridge >&2; exit 1"]}]);
    for moment in ["prestart", "createRuntime", "createContainer"] {
        let bundle = Bundle::new(&["true"]).with(|config| config["hooks"] = json!({ moment: failing() }));
        let error = bundle.make().failed();
        assert!(error.contains("no bridge"), "{moment}: {error}");
        assert!(!bundle.path("state").join(&bundle.id).exists(), "{moment}");
    }
    let bundle = Bundle::new(&["sleep", "100"]).with(|config| config["hooks"] = json!({"startContainer": failing()}));
    bundle.make().ok();
    let error = bundle.on("start", &[]).failed();
    assert!(
        error.contains("startContainer") && error.contains("no bridge"),
        "{error}"
    );
    bundle.on("delete", &["-f"]).ok();
    let bundle = Bundle::new(&["sleep", "100"]).with(|config| config["hooks"] = json!({"poststart": failing()}));
    bundle.make().ok();
    assert!(bundle.on("start", &[]).failed().contains("no bridge"));
    assert_eq!(bundle.status(), "stopped", "a container whose hooks fail is ended");
}
