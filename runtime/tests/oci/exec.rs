//! One more process in a container.

use std::fs;
use std::os::fd::AsRawFd;

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn a_command_runs_among_the_containers_namespaces_and_cgroups() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    let inside = |name: &str| fs::read_link(format!("/proc/{}/ns/{name}", bundle.pid())).unwrap();
    for name in ["mnt", "net", "pid", "ipc", "uts", "cgroup"] {
        let link = bundle.exec(&["readlink", &format!("/proc/self/ns/{name}")]).ok();
        assert_eq!(link, inside(name).to_str().unwrap());
    }
    assert_eq!(bundle.exec(&["sh", "-c", "exit 9"]).code, 9);
    assert_eq!(bundle.exec(&["sh", "-c", "kill -9 $$"]).code, 137);
    let missing = bundle.exec(&["nonexistent"]);
    assert_eq!(missing.code, 255);
    assert!(
        missing.stderr.contains("executable file not found in $PATH"),
        "{missing:?}"
    );
    assert_eq!(bundle.exec(&["cat", "/proc/1/comm"]).ok(), "sleep");
    assert_eq!(
        bundle
            .exec(&["grep", "-c", "minik-oci-test", "/proc/self/cgroup"])
            .stdout,
        "0",
        "its own cgroup is /"
    );
}

#[test]
fn options_change_the_containers_own_process() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    let exec = |options: &[&str], script: &str| {
        let line = [&["exec"], options, &[bundle.id.as_str(), "sh", "-c", script]].concat();
        let output = bundle.command(&line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let text = exec(
        &["-e", "A=1", "--env", "B=2", "--cwd", "/etc", "-u", "5:6", "-g", "7"],
        "echo $A$B; pwd; id",
    );
    assert_eq!(text, "12\n/etc\nuid=5 gid=6 groups=7");
    let capabilities = exec(&["--cap", "CAP_CHOWN"], "grep CapEff /proc/self/status");
    assert!(capabilities.ends_with("0000000000000021"), "{capabilities}");
    assert_eq!(
        exec(&["--no-new-privs"], "grep NoNewPrivs /proc/self/status | tr -d '\\t'"),
        "NoNewPrivs:1"
    );
    fs::write(
        bundle.path("process.json"),
        json!({"user": {"uid": 3, "gid": 4}, "args": ["sh", "-c", "id -u; pwd"], "cwd": "/tmp", "env": ["PATH=/bin"]})
            .to_string(),
    )
    .unwrap();
    let line = ["exec", "--process", "process.json", &bundle.id];
    let output = bundle.command(&line).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n/tmp\n");
}

#[test]
fn only_preserved_descriptors_are_inherited() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let shell = |preserve: &str, numbers: &str| {
        // Descriptors 3 and 4 for the runtime, whatever they are here.
        let program = crate::bundle::executable();
        let line = format!(
            "exec 3<&{} 4>&{} {numbers}; exec {} oci --root {} exec {preserve} {} sh -c 'ls /proc/self/fd | tr \"\\n\" \" \"; echo $LISTEN_FDS'",
            reader.as_raw_fd(),
            writer.as_raw_fd(),
            program.display(),
            bundle.path("state").display(),
            bundle.id,
        );
        let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // ls has the directory open, too.
    assert_eq!(shell("", "").0, "0 1 2 3");
    assert_eq!(shell("--preserve-fds 2", "").0, "0 1 2 3 4 5");
    assert!(
        shell("--preserve-fds 2", "4>&-")
            .1
            .contains("descriptor 4 is to be preserved")
    );
}
