//! Capability names and numbers (linux/capability.h), and sets of them as masks.

use oci_spec::runtime::{Capabilities as Names, LinuxCapabilities};

/// Names without `CAP_`, in the order of their numbers.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A process's five sets; bit n is capability number n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What execve can ever give.
    pub bounding: u64,
    /// What is in force.
    pub effective: u64,
    /// What may be put in force.
    pub permitted: u64,
    /// What is kept over execve of files that allow it.
    pub inheritable: u64,
    /// What is kept over execve for users other than root.
    pub ambient: u64,
}

impl Capabilities {
    pub(super) fn of(names: &LinuxCapabilities) -> Self {
        Self {
            bounding: mask(names.bounding()),
            effective: mask(names.effective()),
            permitted: mask(names.permitted()),
            inheritable: mask(names.inheritable()),
            ambient: mask(names.ambient()),
        }
    }
}

/// The number of a capability by name, with or without `CAP_`, in any case.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    CAPABILITIES
        .iter()
        .position(|known| *known == bare)
        .and_then(|at| u32::try_from(at).ok())
}

fn mask(names: &Option<Names>) -> u64 {
    let bit = |capability: &oci_spec::runtime::Capability| number(&capability.to_string()).map_or(0, |n| 1 << n);
    names.iter().flatten().map(bit).fold(0, |all, bit| all | bit)
}
