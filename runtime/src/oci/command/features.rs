//! `features`: what this runtime can do (runtime-spec, features.md); and what it can't, said clearly.

use serde_json::json;

use super::flags::Given;
use super::{CommandError, Context, Outcome, Verb, list};
use crate::launch::plan::{CAPABILITIES, MOUNT_OPTIONS};
use crate::oci::OCI_VERSION;

pub(super) const FEATURES: Verb = Verb {
    name: "features",
    about: "print what this runtime can do",
    flags: &[],
    arguments: (0, 0),
    wanted: "no arguments",
    run: features,
    failure: 1,
};

pub(super) const CHECKPOINT: Verb = Verb {
    name: "checkpoint",
    about: "refused: processes are not saved to disk",
    flags: &[],
    arguments: (0, usize::MAX),
    wanted: "nothing: it is refused",
    run: |_, _| {
        Err(CommandError::Refused(
            "checkpoint",
            "processes are not saved to disk here; CRIU isn't driven",
        ))
    },
    failure: 1,
};

fn features(_: &Context, _: &Given) -> Outcome {
    let capabilities: Vec<String> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let off = json!({"enabled": false});
    let on = json!({"enabled": true});
    let linux = json!({
        "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
        "capabilities": capabilities,
        "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false},
        "seccomp": {
            "enabled": crate::sys::seccomp::available(),
            "actions": [
                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"
            ],
            "operators": [
                "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                "SCMP_CMP_NE"
            ],
            "archs": [if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }],
            "knownFlags": FLAGS, "supportedFlags": FLAGS,
        },
        "apparmor": {"enabled": std::path::Path::new("/sys/kernel/security/apparmor").exists()},
        "selinux": off, "intelRdt": off, "memoryPolicy": {}, "netDevices": off,
        "mountExtensions": {"idmap": on},
    });
    list::print_json(&json!({
        "ociVersionMin": "1.0.0", "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": &MOUNT_OPTIONS[..], "linux": linux,
    }));
    Ok(0)
}

const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];
