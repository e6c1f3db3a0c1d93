//! `spec`: a config.json to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use nix::unistd::{getegid, geteuid};
use serde_json::{Value, json};

use super::flags::{Given, switch, value};
use super::{CommandError, Context, Outcome, Verb};
use crate::oci::OCI_VERSION;

pub(super) const SPEC: Verb = Verb {
    name: "spec",
    about: "write a config.json to begin with",
    flags: &[
        value("bundle", "b", "directory to write to (default: where you are)"),
        switch("rootless", "", "one for a user who isn't root"),
    ],
    arguments: (0, 0),
    wanted: "no arguments",
    run: spec,
    failure: 1,
};

fn spec(_: &Context, given: &Given) -> Outcome {
    let path = Path::new(given.get("bundle").unwrap_or(".")).join("config.json");
    let config = if given.is("rootless") {
        rootless(config())
    } else {
        config()
    };
    let text = serde_json::to_string_pretty(&config).expect("it holds strings and numbers");
    // Never over one that is there: it may be somebody's work.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(CommandError::file("write", path))?;
    Ok(0)
}

fn config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "minirunc",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

/// The same for an ordinary user: himself as root of a user namespace, the host's network and its /sys.
fn rootless(mut config: Value) -> Value {
    let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    config["linux"]["uidMappings"] = map(geteuid().as_raw());
    config["linux"]["gidMappings"] = map(getegid().as_raw());
    config["linux"]["namespaces"] =
        json!(["pid", "ipc", "uts", "mount", "cgroup", "user"].map(|kind| json!({"type": kind})));
    config["linux"]["resources"] = Value::Null;
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        // Nobody but the user himself is in there: no group 5.
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
    let mounts = config["mounts"].as_array_mut().into_iter();
    mounts.for_each(|mounts| mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup"));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_can_be_planned_but_for_the_user_namespace() {
        let spec = serde_json::from_value(config()).expect("a valid config.json");
        crate::launch::plan::plan(&spec, Path::new("/bundle"), &[]).expect("a plan");
        let rootless = rootless(config());
        let spec: oci_spec::runtime::Spec = serde_json::from_value(rootless.clone()).expect("a valid config.json");
        assert!(spec.linux().as_ref().expect("linux").uid_mappings().is_some());
        assert!(!rootless.to_string().contains("gid=5"));
    }
}
